/** `npm run docs`: writes docs/settings.md from the settings table, and docs/policy.schema.json from the words of the policy language. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { methods } from '../src/methods/index.ts'
import { packageRoot } from '../src/ops/package-root.ts'
import { settingsMarkdown } from '../src/ops/settings-docs.ts'
import { schemaText } from '../src/routing/schema.ts'

writeFileSync(join(packageRoot, 'docs', 'settings.md'), settingsMarkdown())
writeFileSync(join(packageRoot, 'docs', 'policy.schema.json'), schemaText(methods))
