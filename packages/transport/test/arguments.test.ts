import { listenerUrl, requiredPort } from '@iopa/transport'
import { describe, expect, test } from 'vitest'

describe('requiredPort', () => {
  test('returns the port, also 0', () => {
    expect([requiredPort('http', 0), requiredPort('http', 8080)]).toEqual([0, 8080])
  })

  test('names the transport and the option when the port is missing', () => {
    expect(() => requiredPort('http', undefined)).toThrow('write http({ port: 8080 })')
  })

  test.each([-1, 65_536, 1.5, Number.NaN, '80' as never])('refuses %s', port => {
    expect(() => requiredPort('tcp', port)).toThrow(expect.objectContaining({ status: 500, code: 'bad-option' }))
  })
})

test('listenerUrl puts an IPv6 address into brackets', () => {
  expect([listenerUrl('coap', '::1', 5683).href, listenerUrl('http', '127.0.0.1', 8080).href]).toEqual([
    'coap://[::1]:5683',
    'http://127.0.0.1:8080/'
  ])
})
