/** Plays an SMTP conversation written as text against a real door; test/dialogues/README.md says how to write one. */
import assert from 'node:assert/strict'
import type { Settings } from '../../src/ops/settings.ts'
import { openDoor, type Talk, talk } from '../submission/door.ts'

type Line = { readonly number: number; readonly kind: string; readonly text: string }

/** Throws an AssertionError that names the line at which the conversation went another way. */
export async function play(text: string): Promise<void> {
  const lines = text.split('\n').flatMap(readLine)
  const setting = (kind: string) => lines.find((line) => line.kind === kind)?.text
  const door = await openDoor(JSON.parse(setting('@settings') ?? '{}') as Partial<Settings>)
  const user = setting('@user')?.split(' ')
  if (user?.[0] && user[1]) await door.users.add(user[0], user[1], 'test')
  const tls = setting('@tls') !== undefined
  const client = await talk(tls ? door.tlsPort : door.port, { tls, from: setting('@from') ?? '127.0.0.1' })
  try {
    for (const line of lines) await step(line, client, door.spool.stored)
  } finally {
    client.close()
    await door.close()
  }
}

function readLine(text: string, index: number): Line[] {
  if (text.trim() === '' || text.startsWith('#')) return []
  const [, kind, rest = ''] = /^(@[a-z]+|[A-Z]+[*!]?:)(?: (.*))?$/.exec(text) ?? []
  if (kind === undefined) throw new Error(`line ${index + 1} is neither C:, S:, M: nor @…: ${text}`)
  return [{ number: index + 1, kind, text: rest }]
}

async function step({ number, kind, text }: Line, client: Talk, stored: readonly { content: Buffer; envelope: object }[]): Promise<void> {
  const place = `line ${number}`
  const last = stored.at(-1)
  switch (kind) {
    case '@settings':
    case '@user':
    case '@tls':
    case '@from':
      return
    case 'C:':
      return client.write(`${text}\r\n`)
    case 'CR:':
      return client.write(Buffer.from(unescaped(text), 'latin1'))
    case 'S:':
      return assert.match(lastLine(await client.reply()), pattern(text), place)
    case 'S*:':
      return assert.ok(
        (await client.reply()).split('\n').some((line) => pattern(text).test(line)),
        `${place}: no line is ${text}`,
      )
    case 'M:':
      return assert.ok(
        last !== undefined && contentLines(last.content).some((line) => pattern(text).test(line)),
        `${place}: not in ${last?.content}`,
      )
    case 'M!:':
      return assert.ok(
        last !== undefined && !contentLines(last.content).some((line) => pattern(text).test(line)),
        `${place}: is in ${last?.content}`,
      )
    case 'E:':
      return assertHas(last?.envelope, JSON.parse(text) as object, place)
    case '@secure':
      return client.secure()
    case '@end':
      return client.ended()
    case '@stored':
      return assert.equal(stored.length, Number(text), place)
    default:
      throw new Error(`${place}: ${kind} is not known`)
  }
}

const lastLine = (reply: string) => reply.split('\n').at(-1) ?? ''
/** Every line as it stands, and every folded field as one line. */
const contentLines = (content: Buffer) => {
  const text = content.toString('utf8')
  return [...text.split('\r\n'), ...text.replace(/\r\n(?=[ \t])/g, '').split('\r\n')]
}

/** `*` stands for anything. */
const pattern = (text: string) =>
  new RegExp(
    `^${text
      .split('*')
      .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*')}$`,
    's',
  )

const unescaped = (text: string) =>
  text.replace(/\\(?:x([0-9a-f]{2})|([rn0\\]))/g, (_all, hex: string | undefined, letter: string) =>
    hex === undefined ? ({ r: '\r', n: '\n', '0': '\0', '\\': '\\' }[letter] ?? '') : String.fromCharCode(Number.parseInt(hex, 16)),
  )

function assertHas(actual: object | undefined, wanted: object, place: string): void {
  for (const [key, value] of Object.entries(wanted))
    assert.deepEqual((actual as Record<string, unknown> | undefined)?.[key], value, `${place}: ${key}`)
}
