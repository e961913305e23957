/** A letter's reader in the stories: a browser that only follows links and submits forms. */
import assert from 'node:assert/strict'

/** A browser without JavaScript: keeps cookies, follows what forms say. */
export function reader() {
  const cookies = new Map<string, string>()
  const request = async (url: string, form?: Record<string, string>) => {
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '), 'sec-fetch-site': 'same-origin' },
      ...(form && { body: new URLSearchParams(form) }),
    })
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';')
      cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1))
    }
    return { status: response.status, location: response.headers.get('location'), text: await response.text() }
  }
  const follow = async (url: string, form?: Record<string, string>): Promise<{ url: string; text: string; status: number }> => {
    const answer = await request(url, form)
    if (answer.location !== null) return follow(new URL(answer.location, url).href)
    return { url, text: answer.text, status: answer.status }
  }
  return { follow }
}

/** The first form of a page: where it goes and its hidden fields. */
export function form(page: { url: string; text: string }) {
  const [, attributes = '', inside = ''] = /<form([^>]*)>([\s\S]*?)<\/form>/.exec(page.text) ?? assert.fail('the page has no form')
  const action = /action="([^"]*)"/.exec(attributes)?.[1] ?? page.url
  const fields = Object.fromEntries(
    [...inside.matchAll(/<input[^>]*type="hidden"[^>]*>/g)].map(([input]) => [
      /name="([^"]*)"/.exec(input)?.[1] ?? '',
      /value="([^"]*)"/.exec(input)?.[1] ?? '',
    ]),
  )
  return { action: new URL(action, page.url).href, fields }
}
