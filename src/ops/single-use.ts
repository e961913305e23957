/** Frees large buffers as soon as their one reader is done: left to the garbage collector, it would run for them alone. */

/** V8 looks through its whole heap for every 64 MiB or so of buffers, which is one or two mails of 10 MB: more work than the mail itself. */
const declared = new WeakSet<ArrayBufferLike>()

/** What is transferred to a closed port is gone: HTML's "message port post message steps" detach it all the same. */
const nowhere = new MessageChannel().port1
nowhere.close()

/** Smaller ones are cheaper to leave. */
const worthwhile = 16_384

/** Say that nobody but the one who is given this buffer will ever read it; the same buffer. Of no effect for a part of a larger one. */
export function singleUse(buffer: Buffer): Buffer {
  if (buffer.length >= worthwhile && buffer.length === buffer.buffer.byteLength) declared.add(buffer.buffer)
  return buffer
}

/** Free the memory below `buffer`, if it was declared `singleUse`; else nothing happens. Its reader calls this, and then finds it empty. */
export function giveBack(buffer: Buffer): void {
  const memory = buffer.buffer
  if (declared.delete(memory) && memory instanceof ArrayBuffer) nowhere.postMessage(undefined, [memory])
}
