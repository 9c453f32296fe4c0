import { reasonPhrase, STATUS } from '@iopa/constants'
import { describe, expect, test } from 'vitest'

describe('statuses', () => {
  test.each([
    [200, 'OK'],
    [204, 'No Content'],
    [203, 'Non-Authoritative Information'],
    [205, 'Reset Content'],
    [402, 'Payment Required'],
    [418, "I'm a teapot"],
    [451, 'Unavailable For Legal Reasons'],
    [507, 'Insufficient Storage'],
    [304, 'Not Modified'],
    [404, 'Not Found'],
    [414, 'URI Too Long'],
    [422, 'Unprocessable Content'],
    [431, 'Request Header Fields Too Large'],
    [504, 'Gateway Timeout']
  ])('%i is %s', (status, reason) => {
    expect(reasonPhrase(status)).toBe(reason)
  })

  test.each([
    [299, 'Success'],
    [399, 'Redirection'],
    [499, 'Client Error'],
    [599, 'Server Error'],
    [0, 'Unknown']
  ])('%i, which has no name here, is %s', (status, reason) => {
    expect(reasonPhrase(status)).toBe(reason)
  })

  test('have a name, a valid number and a phrase each', () => {
    const numbers = Object.values(STATUS)
    expect(new Set(numbers).size).toBe(numbers.length)
    for (const status of numbers) {
      expect(status >= 200 && status < 600).toBe(true)
      expect(reasonPhrase(status)).not.toMatch(/_|Success|Redirection|Client Error|Server Error$(?<!Internal Server Error)/)
    }
  })
})
