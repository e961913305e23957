/** `npm start` and `npm run demo`: installs and builds when needed, then is the program: `node scripts/start.mjs serve …`. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, install, root } from './prepare.mjs'

install()
build()

// In this very process: signals reach the server as they are, and nothing is left behind when it is killed.
const main = join(root, 'dist', 'main.js')
process.argv = [process.execPath, main, ...process.argv.slice(2)]
await import(pathToFileURL(main).href)
