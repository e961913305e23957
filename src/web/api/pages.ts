/** Cuts long lists into pages: a cursor says after which row the next one begins. */
import { z } from 'zod'

type Place = { readonly at: number; readonly id: string }

const cursor = z
  .string()
  .max(400)
  .transform((text, context): Place => {
    const [, at, id] = /^(\d{1,16})\.([\w.:[\]-]{1,255})$/.exec(Buffer.from(text, 'base64url').toString()) ?? []
    if (at !== undefined && id !== undefined) return { at: Number(at), id }
    context.addIssue({ code: 'custom', message: 'take it from `next` of the page before, as it is' })
    return z.NEVER
  })

/** The parameters of a list. */
export const paging = {
  cursor: cursor.optional().describe('`next` of the page before'),
  limit: z
    .string()
    .regex(/^[1-9]\d{0,2}$/, 'expected a number from 1 to 500')
    .transform(Number)
    .refine((most) => most <= 500, 'expected a number from 1 to 500')
    .optional()
    .describe('how many at most, 1 to 500; 100 when not given'),
}

/** `rows` holds one more than `limit` when there is another page. */
export function page<Row>(
  rows: readonly Row[],
  limit: number,
  placeOf: (row: Row) => Place,
): { readonly rows: readonly Row[]; readonly next: string | null } {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  if (rows.length <= limit || last === undefined) return { rows: shown, next: null }
  const { at, id } = placeOf(last)
  return { rows: shown, next: Buffer.from(`${at}.${id}`).toString('base64url') }
}

export const usualLimit = 100
