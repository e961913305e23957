/** Whether there is room for what is to be received: refused early, before the disk is full. */
import type { Logger } from 'pino'
import type { Spool } from '../spool/spool.ts'
import { databaseRefusal, diskRefusal } from './accept.ts'
import type { Reply } from './reply.ts'

/** What a client that does not announce a size is expected to send. */
const unannounced = 1024 * 1024

/** The sealed content, its row and the log of the database want half as much again. */
const wanted = (size: number): number => 1.5 * size

/** The reply to MAIL when `size` octets, announced or not, would find no room. */
export async function refuseForRoom(
  { spool, log }: { readonly spool: Pick<Spool, 'free'>; readonly log: Logger },
  size = unannounced,
): Promise<Reply | undefined> {
  try {
    return (await spool.free()) < wanted(size) ? diskRefusal : undefined
  } catch (error) {
    log.error({ err: error }, 'the free space of the spool is not known')
    return databaseRefusal
  }
}

/** A sentence for /readyz while mail is refused for want of room; undefined when there is enough. */
export async function roomTrouble(spool: Pick<Spool, 'free'>): Promise<string | undefined> {
  try {
    const free = await spool.free()
    return free < wanted(unannounced)
      ? `mail is refused: only ${Math.floor(free / 1024)} KiB are free where it is stored; make room there`
      : undefined
  } catch (error) {
    return `mail is refused: the free space where it is stored is not known (${error instanceof Error ? error.message : error})`
  }
}
