import { defineKeys, IOPA, IopaError, SERVER, SSL } from '@iopa/constants'
import { describe, expect, test } from 'vitest'

describe('defineKeys', () => {
  test('returns a plain declaration and registers nothing: two packages may declare the same', () => {
    const keys = { Tenant: { doc: 'Who is billed.' } }
    const declared = defineKeys('acme', { owner: '@acme/iopa-tenant', keys })
    expect(declared).toEqual({ namespace: 'acme', owner: '@acme/iopa-tenant', keys })
    expect(defineKeys('acme', { owner: 'somebody-else' })).toEqual({ namespace: 'acme', owner: 'somebody-else', keys: {} })
  })

  test('copies the declaration that it gets', () => {
    const keys: Record<string, object> = { Tenant: {} }
    const declared = defineKeys('acme', { owner: 'a', keys })
    keys['Other'] = {}
    expect(Object.keys(declared.keys)).toEqual(['Tenant'])
  })

  test.each(['iopa', 'server', 'ssl'])('refuses the reserved namespace %s', namespace => {
    expect(() => defineKeys(namespace, { owner: 'a' })).toThrow(IopaError)
    expect(() => defineKeys(namespace, { owner: 'a' })).toThrow(`'${namespace}' is reserved`)
  })

  test.each(['', 'Acme', '1a', 'a.b', 'a b', '__proto__'])('refuses %j as a namespace', namespace => {
    expect(() => defineKeys(namespace, { owner: 'a' })).toThrow('lower case')
  })

  test.each(['tenant', 'Tenant-Id', 'Tenant.', '.Tenant', '', '__proto__'])('refuses %j as a name', name => {
    expect(() => defineKeys('acme', { owner: 'a', keys: JSON.parse(`{${JSON.stringify(name)}:{}}`) })).toThrow('acme.PascalCase')
  })

  test('accepts names with several parts', () => {
    expect(Object.keys(defineKeys('acme', { owner: 'a', keys: { 'Tenant.Id': {} } }).keys)).toEqual(['Tenant.Id'])
  })
})

describe('key objects', () => {
  test.each([
    ['iopa', IOPA],
    ['server', SERVER],
    ['ssl', SSL]
  ])('name every key of %s by its own name', (namespace, keys) => {
    for (const [name, key] of Object.entries(keys)) expect(key).toBe(`${namespace}.${name}`)
  })
})
