/** The structure of src/ as the compiler cannot see it: who may import whom, sizes, first lines, raw template output. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative, sep } from 'node:path'
import { describe, test } from 'node:test'
import { packageRoot } from '../src/ops/package-root.ts'

/** Left to right: a folder imports itself and what stands in a group left of its own; neighbours of one group are blind to each other. */
const order: readonly (readonly string[])[] = [
  ['mail', 'ops'],
  ['store', 'seal', 'detect'],
  ['audit'],
  ['spool'],
  ['backup', 'transport'],
  ['methods'],
  ['routing'],
  ['delivery', 'submission', 'monitor'],
  ['web'],
  ['demo'],
  ['cli'],
  ['gateway.ts'],
  ['main.ts'],
]

const root = join(packageRoot, 'src')
const files = walk(root, '.ts')
const imports = new Map(files.map((file) => [file, importsOf(file)]))

function walk(folder: string, ending: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? walk(path, ending) : entry.name.endsWith(ending) ? [path] : []
  })
}

/** Relative imports as absolute paths; `types` are those that the compiler erases. */
function importsOf(file: string): readonly { readonly target: string; readonly types: boolean }[] {
  const text = readFileSync(file, 'utf8')
  const written = [
    ...text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'(\.[^']+)'/gm),
    ...text.matchAll(/\bimport\((type\s)?'(\.[^']+)'/g),
  ]
  return written.map(([, types, path]) => ({ target: normalize(join(dirname(file), path ?? '')), types: types !== undefined }))
}

const folderOf = (file: string): string => relative(root, file).split(sep)[0] ?? ''
const rankOf = (file: string): number => order.findIndex((group) => group.includes(folderOf(file)))
const short = (file: string): string => relative(packageRoot, file)

describe('the source tree', () => {
  test('has no folder that the import order does not list', () => {
    const unlisted = [...new Set(files.map(folderOf))].filter((folder) => !order.flat().includes(folder))
    assert.deepEqual(unlisted, [])
  })

  test('imports only from the left', () => {
    const wrong = files.flatMap((file) =>
      (imports.get(file) ?? [])
        .filter(({ target }) => folderOf(target) !== folderOf(file) && rankOf(target) >= rankOf(file))
        .map(({ target }) => `${short(file)} imports ${short(target)}`),
    )
    assert.deepEqual(wrong, [])
  })

  test('imports only files that are there, with their .ts ending', () => {
    const gone = files.flatMap((file) =>
      (imports.get(file) ?? [])
        .filter(({ target }) => !existsSync(target) || !target.endsWith('.ts'))
        .map(({ target }) => `${short(file)} imports ${short(target)}`),
    )
    assert.deepEqual(gone, [])
  })

  test('has no import cycle, erased type imports apart', () => {
    assert.deepEqual(cycles(), [])
  })

  test('has no file of more than 400 lines', () => {
    const long = files.filter((file) => readFileSync(file, 'utf8').trimEnd().split('\n').length > 400).map(short)
    assert.deepEqual(long, [])
  })

  test('says in the first line of every file what the file is', () => {
    const silent = files.filter((file) => !/^\/\*\* .{15,}/.test(readFileSync(file, 'utf8').replace(/^#!.*\n/, ''))).map(short)
    assert.deepEqual(silent, [])
  })
})

describe('the views', () => {
  /** Raw output (`<%~`) only of our own style sheet, of layouts and included views, and of sanitised mail in its sandboxed page. */
  const rawAllowed: readonly { readonly in: RegExp; readonly what: RegExp }[] = [
    { in: /\.eta$/, what: /^(?:it\.body|it\.style|include(?:Async)?\(.*\))$/ },
    { in: /^views\/portal\/content\.eta$/, what: /^it\.html$/ },
  ]

  test('write nothing raw but what is listed here', () => {
    const raw = walk(join(packageRoot, 'views'), '').flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(/<%[-_]?~([\s\S]*?)[-_]?%>/g)]
        .map((match) => (match[1] ?? '').trim())
        .filter((what) => !rawAllowed.some((allowed) => allowed.in.test(short(file)) && allowed.what.test(what)))
        .map((what) => `${short(file)}: ${what}`),
    )
    assert.deepEqual(raw, [])
  })
})

describe('the tests', () => {
  test('say why, wherever they are skipped', () => {
    // `skip: <a comparison>` or a negation is true, and true is no reason.
    const mute = /\.skip\(\)|\bskip: (?:true\b|!|[^,{}?]*[!=]==[^,{}?]*[,}])/
    const found = walk(join(packageRoot, 'test'), '.test.ts').filter((file) => mute.test(readFileSync(file, 'utf8')))
    assert.deepEqual(
      found.map(short).filter((file) => file !== join('test', 'architecture.test.ts')),
      [],
    )
  })
})

/** Every cycle once, as the files on it; depth first over the import graph. */
function cycles(): string[] {
  const found: string[] = []
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      found.push([...path.slice(path.indexOf(file)), file].map(short).join(' → '))
      return
    }
    if (done.has(file)) return
    for (const { target, types } of imports.get(file) ?? []) if (!types) visit(target, [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  return found
}
