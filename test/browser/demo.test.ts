/** The demo as a visitor meets it, in a real Chromium: one press, all routes within a minute, and letters read by link and code. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { createTransport } from 'nodemailer'
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { type Demo, startDemo } from '../../src/demo/demo.ts'
import { people } from '../../src/demo/people.ts'
import { startGateway } from '../../src/gateway.ts'
import { peer } from '../world/peers.ts'

const { skip } = peer('chromium')
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'

let demo: Demo
let browser: Browser
before(async () => {
  if (skip) return
  demo = await startDemo({ auto: false, portBase: 0 }, startGateway)
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
})
after(async () => {
  await browser?.close()
  await demo?.stop()
})

async function withContext<T>(options: BrowserContextOptions, use: (context: BrowserContext) => Promise<T>): Promise<T> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: 'en-GB', ...options })
  try {
    return await use(context)
  } finally {
    await context.close()
  }
}

const card = (page: Page, address: string) => page.locator(`#person-${address.replace(/[^a-z0-9]+/g, '-')}`)
const outcomes = (page: Page, address: string, words: string) =>
  card(page, address).locator('.outcome', { has: page.locator('.state strong', { hasText: words }) })
const mails = (page: Page, to: string) => page.locator('#mails > li', { has: page.locator('.meta', { hasText: `to ${to}` }) })

test('one press shows all routes within a minute, each with its reason, without a reload', { skip, timeout: 120_000 }, async () => {
  await withContext({}, async (context) => {
    const page = await context.newPage()
    await page.goto(demo.url)
    await page.getByText('an expired certificate may be renewed for 15 s, in real life 60 min').waitFor()
    const pressed = Date.now()
    const left = () => Math.max(1, pressed + 60_000 - Date.now())
    const shows = (address: string, words: string, because: RegExp) =>
      outcomes(page, address, words).locator('.because').filter({ hasText: because }).first().waitFor({ timeout: left() })
    await page.getByRole('button', { name: 'Send to all' }).click()

    // The expired certificate first: what it waits for is only there for 15 seconds.
    await shows('emil@late.example', 'Waits', /certificate of mx\.late\.example expired on .* we try again for 15 seconds/)
    await Promise.all([
      shows('vera@lab.example', 'Delivered over verified TLS', /^TLS for vera@lab\.example, because rule "default" asks for it first\./),
      shows('max@town.example', 'Letter ready', /because town\.example offers no TLS and no PGP key or certificate is known\./),
      shows('sam@diy.example', 'Letter ready', /because its TLS was refused \(certificate not trusted\)/),
      shows('pia@press.example', 'Delivered, encrypted with PGP', /^PGP for pia@press\.example, because press\.example offers no TLS\./),
      shows('nora@nowhere.example', 'Returned to the sender', /the domain nowhere\.example does not exist\./),
    ])
    await mails(page, 'a.weber@klinik.example').filter({ hasText: 'Your message could not be delivered' }).waitFor({ timeout: left() })
    await shows('emil@late.example', 'Letter ready', /because its TLS was refused \(certificate expired/)
    await mails(page, 'emil@late.example').filter({ hasText: 'A letter for you' }).waitFor({ timeout: left() })

    // One message to two people who are served differently.
    await outcomes(page, 'vera@lab.example', 'Delivered')
      .filter({ hasText: 'one message with max@town.example' })
      .waitFor({ timeout: left() })
    await outcomes(page, 'max@town.example', 'Letter').filter({ hasText: 'one message with vera@lab.example' }).waitFor({ timeout: left() })
    assert.equal(await page.locator('.outcome').count(), people.length + 2)
    console.log(`all routes seen ${((Date.now() - pressed) / 1000).toFixed(1)} s after the press`)
  })
})

test('Why? opens the whole explanation, and stays open while the page fills in', { skip }, async () => {
  await withContext({}, async (context) => {
    const page = await context.newPage()
    await page.goto(demo.url)
    const first = outcomes(page, 'max@town.example', 'Letter').first()
    await first.locator('summary').click()
    const why = first.locator('.explanation')
    for (const said of ['rule "default" line', 'mx.town.example offers no STARTTLS', 'Would be TLS if: town.example offers STARTTLS.'])
      await why.filter({ hasText: said }).waitFor()
    const key = await first.locator('details').getAttribute('id')
    await write({ to: 'max@town.example', subject: 'one more', text: 'one more' })
    await card(page, 'max@town.example').locator('.outcome').nth(2).waitFor({ timeout: 90_000 })
    assert.equal(await page.locator(`#${key}`).getAttribute('open'), '')
    assert.equal(await page.evaluate('document.activeElement.closest("details")?.id'), key)
  })
})

/** Mail from another client than the page's button. */
async function write(mail: {
  readonly to: string
  readonly subject: string
  readonly text?: string
  readonly html?: string
}): Promise<void> {
  const [smtp] = demo.settings['smtp.listen']
  assert.ok(smtp)
  const client = createTransport({ host: smtp.host, port: smtp.port, tls: { rejectUnauthorized: false } })
  await client.sendMail({ from: 'somebody@klinik.example', ...mail })
  client.close()
}

for (const { javaScriptEnabled, address } of [
  { javaScriptEnabled: false, address: 'sam@diy.example' },
  { javaScriptEnabled: true, address: 'emil@late.example' },
])
  test(
    `from the inbox a letter is read by link and code at 320 pixels, with JavaScript ${javaScriptEnabled ? 'on' : 'off'}`,
    { skip },
    async () => {
      await withContext({ javaScriptEnabled, viewport: { width: 320, height: 640 } }, async (context) => {
        const page = await context.newPage()
        await page.goto(demo.url)
        await outcomes(page, address, 'Letter ready').getByRole('link', { name: 'Go to its notice' }).click()
        const link = page.locator('article a')
        assert.match((await link.textContent()) ?? '', /^http:\/\/localhost:\d+\/m\/[0-9a-z]{32}$/)
        const [letter] = await Promise.all([context.waitForEvent('page'), link.click()])
        await letter.getByRole('button', { name: 'Continue' }).click()
        const label = letter.getByLabel('Code')
        await label.waitFor()

        await page.goto(demo.url)
        const code = mails(page, address).locator('.code')
        await seen(page, javaScriptEnabled, () => code.first().isVisible())
        await label.fill(((await code.first().textContent()) ?? '').replace('Code', ''))
        await letter.getByRole('button', { name: 'Continue' }).click()
        await letter.getByRole('heading', { name: /^Your results/ }).waitFor()
        await letter.frameLocator('iframe').getByText('well within the range').waitFor()
        const overflow = await letter.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
        assert.equal(overflow, 0)

        await page.bringToFront()
        await seen(page, javaScriptEnabled, () => outcomes(page, address, 'Letter read').isVisible())
      })
    },
  )

/** Waits for the page to show something; without JavaScript by reloading it, as its reader would. */
async function seen(page: Page, live: boolean, look: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 90_000
  while (!(await look())) {
    assert.ok(Date.now() < end, 'it did not appear within 90 seconds')
    if (live) await page.waitForTimeout(100)
    else await page.reload()
  }
}

test('every mail opens as its text, with links to follow and no markup of its own', { skip }, async () => {
  const html =
    '<p>Hello <b>Vera</b>, see https://example.org/a.</p><script>document.title = "run"</script><img src=x onerror="document.title = 1">'
  await write({ to: 'vera@lab.example', subject: '<i>only</i> HTML', html })
  await withContext({}, async (context) => {
    const page = await context.newPage()
    await page.goto(demo.url)
    const link = page.getByRole('link', { name: '<i>only</i> HTML', exact: true })
    await link.waitFor()
    const paths = (await page.locator('#mails .subject a').evaluateAll((links) => links.map((one) => one.getAttribute('href')))) as string[]
    assert.ok(paths.length >= people.length + 2)
    for (const path of paths) {
      await page.goto(new URL(path, demo.url).href)
      const article = page.locator('article')
      assert.match((await article.textContent()) ?? '', /\w{3}/, `${path} shows no text`)
      assert.equal(await article.locator(':not(a, strong)').count(), 0, `${path} shows markup of the mail`)
    }
    await page.goto(demo.url)
    await link.click()
    assert.equal(await page.getByRole('heading', { level: 1 }).textContent(), '<i>only</i> HTML')
    assert.match((await page.locator('article').textContent()) ?? '', /^\s*Hello Vera, see https:\/\/example\.org\/a\.\s*$/)
    assert.equal(await page.locator('article a').getAttribute('href'), 'https://example.org/a')
  })
})

test('the pages pass axe and fit the window, from 320 to 1280 pixels, light and dark', { skip, timeout: 120_000 }, async () => {
  const found: string[] = []
  for (const colorScheme of ['light', 'dark'] as const)
    await withContext({ colorScheme, reducedMotion: 'reduce' }, async (context) => {
      const page = await context.newPage()
      await page.goto(demo.url)
      const subjects = ['A letter for you', 'is the code for your letter', '...', 'could not be delivered']
      const links = await Promise.all(
        subjects.map((subject) => page.locator('#mails .subject a', { hasText: subject }).first().getAttribute('href')),
      )
      for (const path of ['/', ...links.map(String)]) {
        await page.goto(new URL(path, demo.url).href)
        for (const summary of await page.locator('summary').all()) await summary.click()
        for (const width of [320, 390, 1280]) {
          await page.setViewportSize({ width, height: 800 })
          const overflow = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
          if (overflow !== 0) found.push(`${path} at ${width}: ${overflow} pixels too wide`)
          found.push(...(await violations(page)).map((violation) => `${path} at ${width} ${colorScheme}: ${violation}`))
        }
      }
    })
  assert.deepEqual(found, [])
})

const { source } = createRequire(import.meta.resolve('@axe-core/playwright'))('axe-core') as { source: string }

async function violations(page: Page): Promise<string[]> {
  if (!(await page.evaluate('"axe" in window'))) await page.evaluate(source)
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
  const run = `axe.run(document, { runOnly: ${JSON.stringify(tags)}, resultTypes: ['violations'] })`
  const shown = '({ id, nodes }) => id + " " + nodes.map(({ html, any }) => html + (any[0]?.message ?? "")).join(" | ")'
  return (await page.evaluate(`${run}.then(({ violations }) => violations.map(${shown}))`)) as string[]
}
