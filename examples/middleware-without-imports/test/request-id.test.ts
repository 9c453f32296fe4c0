import { readFileSync } from 'node:fs'
import { App } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import { requestId } from '../index.js'

describe('middleware without imports', () => {
  const app = new App().use(requestId()).use(context => context['requestid.Value'])

  test('imports nothing', () => {
    expect(readFileSync(new URL('../index.js', import.meta.url), 'utf8')).not.toMatch(/\bimport\b(?! nothing)|\brequire\(/)
  })

  test('keeps the id of a request that brings one, and sends it back', async () => {
    const answer = await app.invoke({ 'iopa.Path': '/', 'iopa.Headers': { 'X-Request-Id': 'abcdefgh-1' } })
    expect(await answer.text()).toBe('abcdefgh-1')
    expect(answer.headers.get('x-request-id')).toBe('abcdefgh-1')
  })

  test('makes an id where none, or a suspicious one, came', async () => {
    for (const headers of [{}, { 'x-request-id': 'a b' }]) {
      const answer = await app.invoke({ 'iopa.Path': '/', 'iopa.Headers': headers })
      expect(await answer.text()).toMatch(/^[0-9a-f-]{36}$/)
    }
  })
})
