/** Waits for what must come: without a fixed sleep, and with a patience that only a hang uses up. */

/** Milliseconds. Machines that run tests are busy with other things: it is no measure, and below the time that a whole test file may take. */
const patience = 90_000

/**
 * The first answer of `look` that is not undefined. `tell` says how things stood when the patience ended, `every` is the pause between two looks
 * in milliseconds.
 */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  tell: () => string | Promise<string> = () => '',
  every = 25,
): Promise<T> {
  for (const end = performance.now() + patience; ; ) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error(`waited ${patience / 1000} s for ${what}; ${await tell()}`)
    await new Promise((resolve) => setTimeout(resolve, every))
  }
}
