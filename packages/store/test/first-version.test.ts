import { App } from '@iopa/appbuilder'
import { resource, resources, twin } from '@iopa/resource'
import { router } from '@iopa/router'
import { memory, store, twins } from '@iopa/store'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { firstVersion } from '../src/first-version.ts'

const Light = z.object({ on: z.boolean() })
const light = resource('/lights/{id}', { state: Light, methods: { get: {}, put: {}, delete: {} } })
const lamp = twin('/lamps/{id}', { reported: Light.partial(), desired: Light.partial() })

/** A process that keeps nothing of the one before. */
const started = (options: Parameters<typeof store>[1] = {}) => {
  const app = new App({ logger: false }).use(router()).use(resources())
  app.serve(light, store(light, options as never)).serve(lamp, twins(lamp, options as never))
  return async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const answer = await app.invoke({ 'iopa.Method': method, 'iopa.Path': path, 'iopa.Headers': headers, 'iopa.Body': body } as never)
    return { status: answer.status, etag: answer.headers.get('etag') as string }
  }
}

test.each([
  ['without a storage', () => ({})],
  ['with a new storage', () => ({ storage: memory() })]
])('an entity tag from before a restart matches nothing, %s', async (_, options) => {
  const tags = new Set<string>()
  const paths = ['/lights/hall', '/lamps/hall/desired']
  for (let start = 0; start < 5; start++) {
    const ask = started(options())
    for (const path of paths) {
      const { status, etag } = await ask('PUT', path, { on: start % 2 === 0 })
      expect(status).toBeLessThan(300)
      for (const tag of tags)
        expect([path, etag, tag, (await ask('PUT', path, { on: false }, { 'if-match': tag })).status]).toEqual([path, etag, tag, 412])
      expect((await ask('PUT', path, { on: false }, { 'if-match': etag })).status).toBeLessThan(300)
      tags.add(etag)
      // With quotes: CoAP carries 8 bytes, which a letter for the media type may be one of.
      expect(etag.length).toBeLessThanOrEqual(9)
    }
  }
  expect(tags.size).toBe(10)
})

test('leaves room for changes', () => {
  for (let run = 0; run < 1000; run++) expect((firstVersion() + 2 ** 30).toString(36).length).toBeLessThanOrEqual(6)
})
