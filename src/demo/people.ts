/** The people of the demo: whom the hospital writes to, and what their mail servers are like. */

export type Manners = 'verified' | 'none' | 'self-signed' | 'expired'

export type Person = {
  readonly name: string
  readonly address: string
  /** Their mail server; undefined: the domain does not exist. */
  readonly server: Manners | undefined
  readonly pgp: boolean
  /** Shown on the inbox page before anything was sent. */
  readonly about: string
}

export const organisation = { name: 'Rheinland Klinik', domain: 'klinik.example' } as const

export const sender = { name: 'Dr Anna Weber', address: `a.weber@${organisation.domain}` } as const

export const people: readonly Person[] = [
  { name: 'Vera Vogt', address: 'vera@lab.example', server: 'verified', pgp: false, about: 'her server has a good certificate' },
  { name: 'Max Maier', address: 'max@town.example', server: 'none', pgp: false, about: 'his server knows no TLS' },
  { name: 'Pia Peters', address: 'pia@press.example', server: 'none', pgp: true, about: 'no TLS, but a PGP key' },
  { name: 'Sam Sauer', address: 'sam@diy.example', server: 'self-signed', pgp: false, about: 'a self-signed certificate' },
  {
    name: 'Emil Ebert',
    address: 'emil@late.example',
    server: 'expired',
    pgp: false,
    about: 'a certificate that expired; we wait for a renewal, here 15 seconds',
  },
  { name: 'Nora Niemand', address: 'nora@nowhere.example', server: undefined, pgp: false, about: 'a domain that does not exist' },
]

export const domainOfPerson = ({ address }: Person): string => address.slice(address.indexOf('@') + 1)
