/** Which role may do what: one table, asked at every request and printed by the documentation. */

/** What a route may ask for. A right ending in `change` or `check` does something; the others only look. */
export const rights = [
  'policy.read', // the policy, its revisions and differences
  'policy.try', // check, test, preview and simulate a text: nothing changes
  'policy.change', // apply, roll back
  'trail.read', // messages, why they went as they went, letters' states: each look is in the audit
  'queue.read',
  'queue.change', // retry, hold, release, bounce
  'domains.read',
  'domains.check', // opens connections to other people's mail servers
  'audit.read',
] as const
export type Right = (typeof rights)[number]

export const roles = ['owner', 'policy', 'operator', 'auditor', 'helpdesk'] as const
export type Role = (typeof roles)[number]

/** No role reads content: there is no right for it. The auditor reads all and changes nothing; the helpdesk sees trails and letters' states. */
export const rightsOf: { readonly [R in Role]: readonly Right[] } = {
  owner: rights,
  policy: ['policy.read', 'policy.try', 'policy.change', 'domains.read', 'domains.check'],
  operator: ['policy.read', 'trail.read', 'queue.read', 'queue.change', 'domains.read', 'domains.check'],
  auditor: ['policy.read', 'policy.try', 'trail.read', 'queue.read', 'domains.read', 'audit.read'],
  helpdesk: ['trail.read'],
}

/** Whether this role has this right. */
export const may = (role: Role, right: Right): boolean => rightsOf[role].includes(right)

/** Whether a text names a role. */
export const isRole = (text: string): text is Role => roles.some((role) => role === text)
