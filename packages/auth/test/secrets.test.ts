import { expect, test } from 'vitest'
import { sameSecret } from '../src/secrets.ts'

test('takes equal secrets alone, as text or bytes, whatever their lengths', () => {
  const bytes = Buffer.from('k4x9')
  expect([sameSecret('k4x9', 'k4x9'), sameSecret(bytes, 'k4x9'), sameSecret('k4x9', new Uint8Array(bytes))]).toEqual([true, true, true])
  for (const other of ['', 'k4x', 'k4x8', 'K4x9', 'k4x9\0', 'k4x9k4x9', 'ќ4x']) expect(sameSecret(other, 'k4x9'), other).toBe(false)
  // Characters that take two bytes count as bytes.
  expect(sameSecret('é', 'Ã©')).toBe(false)
})
