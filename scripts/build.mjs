/** `npm run build`: installs what is missing and builds dist/. */
import { build, install } from './prepare.mjs'

install()
build()
