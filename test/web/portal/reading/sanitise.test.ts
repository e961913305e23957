import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sanitise, textOf } from '../../../../src/web/portal/reading/sanitise.ts'
import { hostileHtml } from './hostile.ts'

const clean = (html: string, picture: (id: string) => string | undefined = () => undefined) => sanitise(html, picture)

const harmful = [
  /<(?:script|style|svg|math|iframe|frame|object|embed|form|input|button|meta|base|link|template|textarea|xmp|noscript|video|audio|source)\b/i,
  /<[^>]*\son\w+\s*=/i,
  /<[^>]*\b(?:href|src)="(?!https?:\/\/|mailto:|tel:|data:image\/(?:png|jpeg|gif|webp);base64,)/i,
  /<[^>]*\b(?:src|srcset|background|poster|ping|formaction|action|id|name|class)="?(?:https?:|\/\/|x|body)/i,
  /url\s*\(/i,
  /position/i,
  /javascript:|vbscript:/i,
]

for (const [name, html] of Object.entries(hostileHtml))
  test(`${name} does not survive`, () => {
    const result = clean(`<p>before</p>${html}<p>after`).html
    for (const pattern of harmful) assert.doesNotMatch(result, pattern)
    assert.match(result, /before/)
  })

test('what is sanitised once comes out of a second pass unchanged', () => {
  for (const html of Object.values(hostileHtml)) {
    const once = clean(html).html
    assert.equal(clean(once).html, once)
  }
})

test('ordinary mail keeps its paragraphs, tables, colours and links', () => {
  const html =
    '<div dir="rtl"><p style="color:#333;margin:0 0 1em">Hello <b>you</b></p><table width="600"><tr><td bgcolor="#eeeeee">1</td></tr></table></div>'
  const result = clean(html).html
  assert.match(result, /<div dir="rtl"><p style="color:#333;margin:0 0 1em">Hello <b>you<\/b><\/p>/)
  assert.match(result, /<td bgcolor="#eeeeee">1<\/td>/)
})

test('a link opens a new window that cannot reach back', () => {
  const { html } = clean('<a href="https://example.org/a?b=1&amp;c=2" target="_top" rel="opener">x</a>')
  assert.equal(html, '<a href="https://example.org/a?b=1&amp;c=2" target="_blank" rel="noopener noreferrer nofollow">x</a>')
})

test('a picture inside the mail is shown, one on another server is replaced by its description and reported', () => {
  const png = 'data:image/png;base64,iVBORw0KGgo='
  const own = clean('<img src="cid:logo@x" alt="Logo">', (id) => (id === 'logo@x' ? png : undefined))
  assert.equal(own.html, `<img src="${png}" alt="Logo" />`)
  assert.equal(own.withheld, false)
  const remote = clean('<img src="https://evil.example/x.png" alt="Logo">')
  assert.equal(remote.html, '<span>[Logo]</span>')
  assert.equal(remote.withheld, true)
})

test('a missing cid picture is not called a picture on another server', () => {
  assert.deepEqual(clean('<img src="cid:gone">'), { html: '<span></span>', withheld: false })
})

test('nesting beyond the limit is flattened, its text kept', () => {
  const { html } = clean(`${'<div>'.repeat(5000)}deep${'</div>'.repeat(5000)}`)
  assert.match(html, /deep/)
  assert.ok(html.split('<div>').length <= 121)
})

test('the text of HTML has its paragraphs, list marks, links and true characters', () => {
  const { html } = clean(
    '<h1>Title</h1><p>a &amp; b &lt;c&gt;<br>next</p><ul><li>one</li><li>two</li></ul><a href="https://x.example/?a=1&amp;b=2">x</a> <b title="1 > 0">y</b>',
  )
  assert.equal(textOf(html), 'Title\n\na & b <c>\nnext\n\n• one\n• two\n\nx (https://x.example/?a=1&b=2) y')
})
