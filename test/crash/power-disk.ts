/** A disk whose power can be cut: an ext4 image on btrfs, where a copy by reference at any moment is what a power cut would have left. */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What keeps us from having such a disk: this machine, for good, or a program that can be installed; undefined when nothing does. */
export function cannotCutPower(): { readonly why: string; readonly installable: boolean } | undefined {
  const never = (why: string) => ({ why, installable: false })
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return never('needs root on Linux, for loop devices and mounts')
  if (!existsSync('/dev/loop-control')) return never('this kernel has no loop devices')
  spawnSync('modprobe', ['btrfs']) // built in, or not to be had: the next line knows
  if (!/\bbtrfs$/m.test(readFileSync('/proc/filesystems', 'utf8'))) return never('this kernel has no btrfs')
  const missing = ['mkfs.btrfs', 'mkfs.ext4', 'losetup', 'mount'].find((program) => spawnSync('which', [program]).status !== 0)
  return missing === undefined ? undefined : { why: `${missing} is not installed`, installable: true }
}

export type PowerDisk = {
  /** Where the ext4 file system is mounted: what is written here lives as long as the power. */
  readonly folder: string
  /** Cut the power of a copy of the disk; the original goes on. Resolves when the moment is over. */
  readonly cut: () => Promise<Copy>
  readonly close: () => Promise<void>
}

export type Copy = {
  /** How long the moment lasted, milliseconds. */
  readonly took: number
  /** Mount it, its journal replayed as after any power cut; `folder` is where. */
  readonly mount: () => Promise<{ readonly folder: string; readonly unmount: () => Promise<void> }>
  readonly drop: () => Promise<void>
}

/**
 * Make one of `mebibytes`, its images below `scratch`. What a program wrote and did not sync is only in the page cache of the ext4 file system,
 * so it is not in the image; what ext4 has sent to its disk is. Throws where mounting is forbidden: closed again by then.
 */
export async function createPowerDisk(scratch: string, mebibytes: number): Promise<PowerDisk> {
  const undo: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const step of undo.splice(0).reverse()) await step().catch(() => undefined)
  }
  try {
    const btrfs = join(scratch, 'btrfs')
    const image = join(scratch, 'btrfs.img')
    await mkdir(btrfs)
    await sparse(image, 4 * mebibytes + 512)
    undo.push(() => rm(image))
    await run('mkfs.btrfs', ['-q', image])
    await mountImage(image, btrfs, 'noatime', undo)

    const disk = join(btrfs, 'disk.img')
    const folder = join(scratch, 'disk')
    await mkdir(folder)
    await sparse(disk, mebibytes)
    await run('mkfs.ext4', ['-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0', disk])
    // Its own commit every 5 s would make durable what nobody synced: put off, so that what is not synced is lost for sure.
    await mountImage(disk, folder, 'noatime,commit=300', undo)
    return { folder, close, cut: cutter(scratch, btrfs, disk, undo) }
  } catch (error) {
    await close()
    throw error
  }
}

/** What of a copy is still mounted when a test broke off is undone with the disk. */
function cutter(scratch: string, btrfs: string, disk: string, atEnd: (() => Promise<unknown>)[]): PowerDisk['cut'] {
  let number = 0
  return async () => {
    const name = `cut-${++number}`
    const image = join(btrfs, `${name}.img`)
    const began = performance.now()
    await run('cp', ['--reflink=always', disk, image])
    const took = performance.now() - began
    return {
      took,
      drop: () => rm(image, { force: true }),
      mount: async () => {
        const folder = join(scratch, name)
        await mkdir(folder)
        const undo: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true })]
        const unmount = async () => {
          for (const step of undo.splice(0).reverse()) await step()
        }
        atEnd.push(unmount)
        await mountImage(image, folder, 'noatime', undo)
        return { folder, unmount }
      },
    }
  }
}

async function sparse(path: string, mebibytes: number): Promise<void> {
  await writeFile(path, '')
  await truncate(path, mebibytes * 1024 * 1024)
}

/** Attached to a loop device by direct I/O where the kernel can: no second cache between the file system and its image. */
async function mountImage(image: string, folder: string, options: string, undo: (() => Promise<unknown>)[]): Promise<void> {
  const attach = (...more: string[]) => run('losetup', ['--find', '--show', ...more, image])
  const { stdout } = await attach('--direct-io=on').catch(() => attach())
  const device = stdout.trim()
  undo.push(() => run('losetup', ['--detach', device]))
  await run('mount', ['-o', options, device, folder])
  undo.push(() => unmount(folder, 200))
}

/** Whatever looks at all mounts of a machine now and then keeps one busy for a moment. */
async function unmount(folder: string, tries: number): Promise<void> {
  try {
    await run('umount', [folder])
  } catch (error) {
    if (tries === 0) throw error
    await pause(50)
    await unmount(folder, tries - 1)
  }
}
