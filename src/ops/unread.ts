/** Says in words why a file could not be read. */

const words: { readonly [code: string]: string | undefined } = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a folder',
  EACCES: 'this user may not read it',
  EPERM: 'this user may not read it',
}

/** `there is no such file (ENOENT)`; what the system says where we have no words for it. The name of the file is the caller's to say. */
export function whyUnread(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const said = words[code]
  return said === undefined ? error.message : `${said} (${code})`
}
