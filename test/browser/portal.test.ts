/** The portal in a real Chromium, at the widths of a phone and a desk, with JavaScript and without. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { contentHeaders } from '../../src/web/portal/headers.ts'
import { wordsFor } from '../../src/web/portal/messages/language.ts'
import { createViews } from '../../src/web/portal/views.ts'
import { hostileHtml, mail, scriptsEverywhere } from '../web/portal/reading/hostile.ts'
import { createBrowser, type Letter, openLetter, startWorld, type World } from '../web/portal/world.ts'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const skip = existsSync(executablePath) ? false : 'no Chromium at /usr/bin/chromium'

let world: World
let browser: Browser
before(async () => {
  if (skip) return
  world = await startWorld()
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
})
after(async () => {
  await browser?.close()
  await world?.close()
})

const longWord = 'Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft'
const letterText = mail([
  'Content-Type: text/plain; charset=utf-8',
  '',
  `Dear Mr Maier,\r\n\r\nall is well. ${longWord} https://example.org/${'x'.repeat(100)}`,
])
const designed = mail([
  'Content-Type: multipart/mixed; boundary=b',
  ...['', '--b', 'Content-Type: text/html; charset=utf-8', '', `<h2>Results</h2><p>All is <b>well</b>, ${longWord}.</p>`],
  ...['<table width="900"><tr><td>Hb</td><td>14,1</td></tr></table><p><a href="https://example.org/">more</a></p>'],
  ...[
    '--b',
    'Content-Type: application/pdf',
    `Content-Disposition: attachment; filename="${'long-name-'.repeat(9)}.pdf"`,
    '',
    'x',
    '--b--',
    '',
  ],
])

async function withContext<T>(options: BrowserContextOptions, use: (context: BrowserContext) => Promise<T>): Promise<T> {
  const context = await browser.newContext({ viewport: { width: 320, height: 640 }, locale: 'en-GB', ...options })
  try {
    return await use(context)
  } finally {
    await context.close()
  }
}

/** As a person does it: the link, Continue, the code, Continue. */
async function read(page: Page, letter: Letter): Promise<void> {
  const before = world.mailsTo(letter.address).length
  await page.goto(`${world.base}/m/${letter.secret}`)
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.getByLabel('Code').fill(await world.code(letter.address, before))
  await page.getByRole('button', { name: 'Continue' }).click()
}

for (const javaScriptEnabled of [false, true])
  test(`a letter is read at 320 pixels with JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, { skip }, async () => {
    await withContext({ javaScriptEnabled }, async (context) => {
      const page = await context.newPage()
      await read(page, await world.send(letterText))
      assert.match((await page.locator('.text').textContent()) ?? '', /all is well/)
      await read(page, await world.send(designed))
      const frame = page.frameLocator('iframe')
      await frame.getByText('All is well').waitFor({ timeout: 60_000 })
      await page.getByRole('link', { name: 'View as plain text' }).click()
      assert.match((await page.locator('.text').textContent()) ?? '', /All is well/)
      await page.getByRole('link', { name: 'View as it was designed' }).click()
      await page.getByRole('link', { name: 'Open the text on its own' }).click()
      await page.getByText('All is well').waitFor({ timeout: 60_000 })
    })
  })

test('a letter is read with the keyboard alone', { skip }, async () => {
  await withContext({}, async (context) => {
    const page = await context.newPage()
    const letter = await world.send(letterText)
    await page.goto(`${world.base}/m/${letter.secret}`)
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/c\//)
    await page.locator('#code:focus').waitFor()
    await page.keyboard.type(await world.code(letter.address, 1))
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/letter\//)
    assert.match((await page.locator('.text').textContent()) ?? '', /all is well/)
  })
})

test('switching to the mail and back to a reloaded code page loses nothing', { skip }, async () => {
  await withContext({ javaScriptEnabled: false }, async (context) => {
    const page = await context.newPage()
    const letter = await world.send(letterText)
    await page.goto(`${world.base}/m/${letter.secret}`)
    await page.getByRole('button', { name: 'Continue' }).click()
    const url = page.url()
    await page.goto('about:blank')
    await page.goto(url)
    await page.getByLabel('Code').fill(await world.code(letter.address, 1))
    await page.getByRole('button', { name: 'Continue' }).click()
    assert.match((await page.locator('.text').textContent()) ?? '', /all is well/)
  })
})

test('files and the .eml are saved, never shown', { skip }, async () => {
  await withContext({ javaScriptEnabled: false, acceptDownloads: true }, async (context) => {
    const page = await context.newPage()
    await read(page, await world.send(designed))
    for (const name of [/^Download/, 'Save as e-mail (.eml)']) {
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name }).click()])
      assert.match(download.suggestedFilename(), /\.(pdf|eml)$/)
    }
  })
})

test('a hostile letter runs no script, asks no other host, and reaches nothing of the page around it', { skip }, async () => {
  await withContext({ javaScriptEnabled: true }, async (context) => {
    const asked: string[] = []
    const alarms: string[] = []
    await context.route('**/*', (route) => {
      const url = new URL(route.request().url())
      if (url.origin === world.base || url.protocol === 'data:') return route.continue()
      asked.push(url.href)
      return route.abort()
    })
    const page = await context.newPage()
    page.on('dialog', (dialog) => {
      alarms.push(dialog.message())
      return dialog.dismiss()
    })
    const refused: string[] = []
    page.on('console', (message) => {
      if (/Refused|Blocked|violates/.test(message.text())) refused.push(message.text())
    })
    await read(page, await world.send(scriptsEverywhere))
    await page.frameLocator('iframe').getByText('The harmless end.').waitFor({ timeout: 60_000 })
    const letter = page.url()
    for (const view of ['?view=text', '/content']) await page.goto(letter + view)
    await page.waitForTimeout(300)
    assert.deepEqual(asked, [])
    assert.deepEqual(alarms, [])
    // Nothing even had to be stopped by the policy: the first wall held alone.
    assert.deepEqual(refused, [])
    assert.equal(await page.evaluate('window.origin'), 'null')
  })
})

test('the second wall holds alone: hostile HTML that nobody sanitised runs no script and asks no other host', { skip }, async () => {
  const views = createViews('Rheinland Klinik')
  const document = views.content(Object.values(hostileHtml).join('\n<hr>\n'), 'x', wordsFor('en'))
  const server = createServer((_request, response) =>
    response.writeHead(200, { 'content-type': 'text/html', ...contentHeaders(views) }).end(document),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  try {
    await withContext({}, async (context) => {
      const asked: string[] = []
      await context.route('**/*', (route) => {
        asked.push(route.request().url())
        return route.request().url() === `${origin}/` ? route.continue() : route.abort()
      })
      const page = await context.newPage()
      page.on('dialog', (dialog) => {
        asked.push(`dialog ${dialog.message()}`)
        return dialog.dismiss()
      })
      await page.goto(`${origin}/`)
      await page.waitForTimeout(500)
      assert.deepEqual(asked, [`${origin}/`])
    })
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

test('a link in a letter opens an ordinary window of its own that does not know where it came from', { skip }, async () => {
  await withContext({}, async (context) => {
    await context.route('https://example.org/**', (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `<p id=r></p><script>r.textContent = JSON.stringify([origin, opener, document.referrer])</script>`,
      }),
    )
    const page = await context.newPage()
    await read(page, await world.send(designed))
    const [popup] = await Promise.all([
      context.waitForEvent('page'),
      page.frameLocator('iframe').getByRole('link', { name: 'more' }).click(),
    ])
    assert.equal(await popup.locator('#r').textContent(), '["https://example.org",null,""]')
  })
})

test('every page passes axe and fits the window, from 320 to 1280 pixels, light and dark', { skip, timeout: 120_000 }, async () => {
  const [plain, html] = [await world.send(letterText), await world.send(designed)]
  const clients = [createBrowser(world.base), createBrowser(world.base), createBrowser(world.base)] as const
  const opened = await openLetter(world, clients[0], plain)
  const framed = await openLetter(world, clients[1], html)
  const other = await world.send(letterText)
  const code = await clients[2].submit(await clients[2].get(`/m/${other.secret}`), `/m/${other.secret}`)
  const paths = [
    ...['/', '/help', '/privacy', '/not-me', '/closed', '/nowhere', '/c/none', '/m/unknown'],
    ...[`/m/${other.secret}`, `/m/${other.secret}/not-me`, code.path, `${code.path}?problem=empty`, `${code.path}?problem=limited`],
    ...[opened.path, framed.path, `${framed.path}?view=text`, `${framed.path}/content`],
  ]
  const found: string[] = []
  for (const colorScheme of ['light', 'dark'] as const)
    await withContext({ colorScheme }, async (context) => {
      const cookies = clients.flatMap((client) => [...client.cookies].map(([name, value]) => ({ name, value, url: world.base })))
      await context.addCookies(cookies)
      const page = await context.newPage()
      for (const path of paths) {
        // In the letter's own window no script runs, not even axe: a copy of its document is looked at.
        const alone = path.endsWith('/content')
        await page.goto(alone ? 'about:blank' : world.base + path)
        if (alone) await page.setContent((await clients[1].get(path)).text)
        for (const width of [320, 390, 1280]) {
          await page.setViewportSize({ width, height: 700 })
          const overflow = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
          // The sender's own wide table may make the letter scroll in its box, and in its own window.
          if (overflow !== 0 && !alone) found.push(`${path} at ${width}: ${overflow} pixels too wide`)
          found.push(...(await violations(page)).map((violation) => `${path} at ${width} ${colorScheme}: ${violation}`))
        }
      }
    })
  assert.deepEqual(found, [])
})

test('the page for four words and those of a sender pass axe and fit the window', { skip }, async () => {
  const views = createViews('Rheinland Klinik')
  const words = wordsFor('en')
  const { phrase, status } = words.t
  const frame = { words, reference: 'KJ4F-7Q2M' }
  const form = { action: '/status/x/cancel', token: 't', button: status.cancelButton, sure: status.cancelSure }
  const link = { href: '/status/x', text: status.back }
  const pages = [
    views.page(
      'passphrase',
      { ...frame, title: phrase.document },
      { action: '/c/x', token: 't', sender: longWord, triesLeft: 1, problem: phrase.wrong(1) },
    ),
    views.page(
      'status',
      { ...frame, title: status.title },
      {
        facts: [[status.lastReply, `certificate of ${longWord}.example is self-signed`]],
        paragraphs: [status.lead, status.waits],
        problem: status.unsure,
        form,
        choices: [
          { title: status.wait, text: status.waitText, form: { action: '/status/x/wait', token: 't', button: status.waitButton } },
          { title: status.handOver, text: status.handOverText, link },
        ],
      },
    ),
  ]
  const found: string[] = []
  for (const colorScheme of ['light', 'dark'] as const)
    await withContext({ colorScheme }, async (context) => {
      const page = await context.newPage()
      for (const html of pages) {
        await page.setContent(html)
        for (const width of [320, 1280]) {
          await page.setViewportSize({ width, height: 700 })
          const overflow = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
          found.push(...(overflow === 0 ? [] : [`${overflow} pixels too wide at ${width}`]), ...(await violations(page)))
        }
      }
    })
  assert.deepEqual(found, [])
})

/** What @axe-core/playwright brings, run in the page alone: it would wait for ever for a script in the letter's frame, which runs none. */
const { source } = createRequire(import.meta.resolve('@axe-core/playwright'))('axe-core') as { source: string }

async function violations(page: Page): Promise<string[]> {
  if (!(await page.evaluate('"axe" in window'))) await page.evaluate(source)
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
  const run = `axe.run(document, { iframes: false, runOnly: ${JSON.stringify(tags)}, resultTypes: ['violations'] })`
  const shown = '({ id, nodes }) => id + " " + nodes.map(({ html, any }) => html + (any[0]?.message ?? "")).join(" | ")'
  return (await page.evaluate(`${run}.then(({ violations }) => violations.map(${shown}))`)) as string[]
}
