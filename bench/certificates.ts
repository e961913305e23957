/** An authority of the benchmark's own, and a certificate for its sinks. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createAuthority } from '../src/demo/authority.ts'

/** PEM files. */
export type Certificates = { readonly authority: string; readonly cert: string; readonly key: string }

/** Makes them anew in `folder`, for sinks of these names. */
export async function makeCertificates(folder: string, names: readonly string[]): Promise<Certificates> {
  await mkdir(folder, { recursive: true })
  const authority = await createAuthority('Benchmark Root')
  const leaf = await authority.issue(names)
  const files = { authority: join(folder, 'authority.pem'), cert: join(folder, 'sink.pem'), key: join(folder, 'sink.key') }
  await writeFile(files.authority, authority.cert)
  await writeFile(files.cert, leaf.cert)
  await writeFile(files.key, leaf.key, { mode: 0o600 })
  return files
}
