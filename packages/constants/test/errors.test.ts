import { IopaError, isIopaError } from '@iopa/constants'
import { describe, expect, test } from 'vitest'

describe('IopaError', () => {
  test('carries status, code, detail, headers, extensions and cause', () => {
    const cause = new Error('below')
    const error = new IopaError(429, 'too-many', 'Wait a minute.', { cause, headers: { 'retry-after': '60' }, extensions: { limit: 10 } })
    expect(error).toMatchObject({ name: 'IopaError', status: 429, code: 'too-many', detail: 'Wait a minute.', message: 'Wait a minute.' })
    expect([error.cause, error.headers, error.extensions]).toEqual([cause, { 'retry-after': '60' }, { limit: 10 }])
  })

  test('shows status and code in the log, and nothing more to the peer, without a detail', () => {
    const error = new IopaError(404, 'no-light')
    expect([error.message, error.detail, error.headers, error.extensions]).toEqual(['Not Found (no-light)', '', undefined, undefined])
    expect('cause' in error).toBe(false)
  })

  test('distinguishes an undefined cause from no cause', () => {
    expect('cause' in new IopaError(500, 'x', '', { cause: undefined })).toBe(true)
  })

  test('is recognised from any copy of the package', () => {
    const foreign = Object.assign(new Error('other copy'), { name: 'IopaError', status: 409, code: 'taken' })
    expect(isIopaError(new IopaError(400, 'x'))).toBe(true)
    expect(isIopaError(foreign)).toBe(true)
    const others = [
      new Error('x'),
      { name: 'IopaError', status: 400, code: 'x' },
      Object.assign(new Error('x'), { name: 'IopaError' }),
      null,
      undefined,
      'x'
    ]
    for (const other of others) expect(isIopaError(other)).toBe(false)
  })
})
