/** The small world of the tests: a fake DNS, scripted partners and a certificate authority, the same that the demo uses. */
export { type Authority, createAuthority, type Leaf, selfSigned } from '../../src/demo/authority.ts'
export { type FakeDns, type FakeName, signedRoot, startFakeDns } from '../../src/demo/fake-dns.ts'
export { type Manner, type Partner, type PartnerMail, startPartner } from '../../src/demo/partner.ts'
