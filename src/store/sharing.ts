/** One answer for all who asked the same before it was looked for. */

/**
 * Each call of what is returned resolves, or rejects, with a run of `work` that began after the call; as few runs as that allows, one at a
 * time.
 */
export function sharing<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  let next: Promise<T> | undefined
  const begin = (): Promise<T> => {
    next = undefined
    running = work().finally(() => {
      if (next === undefined) running = undefined
    })
    return running
  }
  return () => {
    if (running === undefined) return begin()
    next ??= running.then(begin, begin)
    return next
  }
}
