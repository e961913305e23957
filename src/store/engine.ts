/** What differs between the two engines beyond their SQL: everything else in the house is written once for both. */

export type Engine = {
  readonly name: 'sqlite' | 'postgres'
  /**
   * Whether several serving processes may share the database. Then claims of others are not dropped at start, blobs and keys of others
   * are left alone while they are young, and work for one alone is done by whoever holds its lease (lease.ts).
   */
  readonly shared: boolean
}

export const sqliteEngine: Engine = { name: 'sqlite', shared: false }
// Claims need no SKIP LOCKED: writes follow one another (postgres-lane.ts), so that no row is ever found locked.
export const postgresEngine: Engine = { name: 'postgres', shared: true }
