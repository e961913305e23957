/** `npm run docs`: writes docs/settings.md from the settings table. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../src/ops/package-root.ts'
import { settingsMarkdown } from '../src/ops/settings-docs.ts'

writeFileSync(join(packageRoot, 'docs', 'settings.md'), settingsMarkdown())
