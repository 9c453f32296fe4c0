import { CAPABILITIES, CONTROL_METHODS, changesState, DEFAULT_PORTS, isControlMethod, METHODS, mediaTypeEssence, schemeOf } from '@iopa/constants'
import { describe, expect, test } from 'vitest'

describe('methods', () => {
  test('isControlMethod ignores case, so that peers cannot use control methods', () => {
    for (const method of Object.values(CONTROL_METHODS)) {
      expect(isControlMethod(method)).toBe(true)
      expect(isControlMethod(method.toLowerCase())).toBe(true)
    }
    for (const method of [...Object.values(METHODS), 'toString', '__proto__', '', 'PROPFIND']) expect(isControlMethod(method)).toBe(false)
  })

  test('changesState is true for five methods, case-sensitively', () => {
    expect(Object.values(METHODS).filter(changesState)).toEqual(['POST', 'PUT', 'PATCH', 'iPATCH', 'DELETE'])
    for (const method of ['put', 'IPATCH', 'PUBLISH', '']) expect(changesState(method)).toBe(false)
  })
})

describe('schemes, media types and capabilities', () => {
  test('schemeOf returns the part before the colon', () => {
    expect(['coap+tcp:', 'http://a', 'mqtt', ''].map(schemeOf)).toEqual(['coap+tcp', 'http', 'mqtt', ''])
  })

  test('DEFAULT_PORTS has a separate port for secured schemes', () => {
    expect([DEFAULT_PORTS['coap'], DEFAULT_PORTS['coaps'], DEFAULT_PORTS['mqtt'], DEFAULT_PORTS['mqtts'], DEFAULT_PORTS['tcp']]).toEqual([
      5683,
      5684,
      1883,
      8883,
      undefined
    ])
  })

  test('mediaTypeEssence removes parameters and lowers the case', () => {
    expect(['Text/HTML; charset=x', ' a/b ', '', ';x'].map(mediaTypeEssence)).toEqual(['text/html', 'a/b', '', ''])
  })

  test('CAPABILITIES are URNs of one form', () => {
    for (const urn of Object.values(CAPABILITIES)) expect(urn).toMatch(/^urn:io\.iopa:[a-z]+(?:-[a-z]+)*$/)
  })
})
