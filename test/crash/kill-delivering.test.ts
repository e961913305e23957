import { test } from 'node:test'
import { killAt } from './kill.ts'

test('killed at every point while mail is claimed, planned, sent and made into letters, the gateway loses nothing and repeats only what was in flight', () =>
  killAt('delivering'))
