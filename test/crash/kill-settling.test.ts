import { test } from 'node:test'
import { killAt } from './kill.ts'

test('killed at every point while outcomes are settled, reported and chained, and while it starts, the gateway loses nothing and repeats only what was in flight', () =>
  killAt('settling'))
