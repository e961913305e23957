import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { attachmentDisposition, safeFileName, visible } from '../../../../src/web/portal/reading/file-name.ts'

test('a name that reads backwards is shown as it really ends', () => {
  assert.equal(safeFileName('report\u202Efdp.exe'), 'reportfdp.exe')
})

test('a path becomes a plain name', () => {
  assert.equal(safeFileName('../../etc/passwd'), '_.._etc_passwd')
  assert.equal(safeFileName('C:\\Windows\\x.bat'), 'C__Windows_x.bat')
})

test('hidden files, device names and empty names are made harmless', () => {
  assert.equal(safeFileName('.htaccess'), 'htaccess')
  assert.equal(safeFileName('CON.txt'), '_CON.txt')
  assert.equal(safeFileName('\u200b\u202e '), '')
})

test('a decomposed umlaut is composed', () => {
  assert.equal(safeFileName('Bla\u0308tter.pdf'), 'Blätter.pdf')
})

test('a very long name keeps its ending', () => {
  const name = safeFileName(`${'ä'.repeat(500)}.pdf`)
  assert.equal([...name].length, 104)
  assert.ok(name.endsWith('.pdf'))
})

test('no name, whatever it is, leaves its place in the header or names a folder', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      const name = safeFileName(text)
      assert.doesNotMatch(name, /[\p{Cc}\p{Cf}\\/:*?"<>|]/u)
      assert.doesNotMatch(name, /^[.\s]|[.\s]$/)
      const header = attachmentDisposition(name)
      assert.match(header, /^attachment; filename="[\x20\x21\x23-\x5b\x5d-\x7e]*"; filename\*=UTF-8''[\w!.~%-]*$/)
    }),
  )
})

test('the true name survives the header in UTF-8', () => {
  const coded = /filename\*=UTF-8''(.*)$/.exec(attachmentDisposition("Müller's (1) 表.pdf"))?.[1] ?? ''
  assert.equal(decodeURIComponent(coded), "Müller's (1) 表.pdf")
  assert.doesNotMatch(coded, /['()*]/)
})

test('a subject with line breaks and zero-width characters becomes one visible line', () => {
  assert.equal(visible('a\r\n b\u0000\u200bc\u2066'), 'a bc')
})
