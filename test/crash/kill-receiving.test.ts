import { test } from 'node:test'
import { killAt } from './kill.ts'

test('killed at every point while mail is received, sealed and committed, the gateway loses nothing and repeats only what was in flight', () =>
  killAt('receiving'))
