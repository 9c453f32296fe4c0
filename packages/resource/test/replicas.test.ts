import { App, type Context } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { resource, resources } from '../src/index.ts'

const serving = (version = 1) => {
  const logged: unknown[][] = []
  const stored: unknown[] = []
  const app = new App({ logger: { error: (...line: unknown[]) => void logged.push(line), warn() {}, info() {}, debug() {} } })
  let replica = false
  app.use((context: Context, next) => {
    context['server.IsReplica'] = replica
    return next()
  })
  const routed = app.use(router()).use(resources())
  routed.serve(
    resource('/lights/{id}', {
      params: z.object({ id: z.string().max(4) }),
      state: z.object({ level: z.number() }),
      computed: { href: z.string() },
      version,
      migrate: (old, from) => {
        if (from === 1) return { level: (old as { brightness: number }).brightness }
        throw new Error('too old')
      },
      methods: { get: {}, put: {} }
    }),
    {
      get: () => ({ level: 1, href: '/' }),
      put: ({ params, input, context }) => void stored.push(params.id, input, context.input)
    }
  )
  const put = async (path: string, body: unknown, headers: Record<string, string> = {}, isReplica = true) => {
    replica = isReplica
    return routed.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': path, 'iopa.Body': body, 'iopa.Headers': headers })
  }
  return { app: routed, put, logged, stored }
}

describe('a replica', () => {
  test('is validated without its computed members', async () => {
    const { put, stored, logged } = serving()
    expect((await put('/lights/hall', { level: 1, href: '/lights/hall' })).status).toBe(204)
    expect(stored).toEqual(['hall', { level: 1 }, { level: 1 }])
    expect(logged).toEqual([])
  })

  test('that does not fit is logged, and reaches the handler as it came', async () => {
    const { put, stored, logged } = serving()
    expect((await put('/lights/longer', { level: 'x', href: 7 })).status).toBe(204)
    expect(stored).toEqual(['longer', { level: 'x' }, { level: 'x' }])
    expect(logged.map(([line]) => line)).toEqual([
      'iopa: a replica of /lights/longer does not fit PUT /lights/{id}, and is applied as it is',
      'iopa: a replica of /lights/longer does not fit PUT /lights/{id}, and is applied as it is'
    ])
    expect((await put('/lights/hall', { level: 'x' }, {}, false)).status).toBe(422)
  })

  test('is logged at a bounded rate', async () => {
    const { app, put, logged } = serving()
    for (let n = 0; n < 50; n++) await put('/lights/hall', { level: 'x' })
    expect(logged).toHaveLength(10)
    await app.close()
    expect(logged.at(-1)?.[0]).toMatch(/40 more replicas do not fit/)
  })
})

describe('the version of a state', () => {
  test('is named by GET, unless it is the first', async () => {
    expect((await serving(2).app.invoke({ 'iopa.Path': '/lights/hall' })).headers.get('state-version')).toBe('2')
    expect((await serving(1).app.invoke({ 'iopa.Path': '/lights/hall' })).headers.get('state-version')).toBeUndefined()
  })

  test('of a replica without a word is 1, and is migrated', async () => {
    const { put, stored } = serving(2)
    expect((await put('/lights/hall', { brightness: 7, href: '/' })).status).toBe(204)
    expect((await put('/lights/hall', { level: 8 }, { 'state-version': '2' })).status).toBe(204)
    expect(stored).toEqual(['hall', { level: 7 }, { level: 7 }, 'hall', { level: 8 }, { level: 8 }])
  })

  test('of a request is the present one, unless it names another', async () => {
    const { put, stored } = serving(2)
    expect((await put('/lights/hall', { level: 8 }, {}, false)).status).toBe(204)
    expect((await put('/lights/hall', { brightness: 9 }, { 'state-version': '1' }, false)).status).toBe(204)
    expect(stored.filter(value => typeof value === 'object')).toEqual([{ level: 8 }, { level: 8 }, { level: 9 }, { level: 9 }])
    expect((await put('/lights/hall', { level: 8 }, { 'state-version': 'two' }, false)).status).toBe(400)
  })

  test('that cannot be migrated is logged and not applied: an older one, a newer one, one whose migration throws', async () => {
    const { put, stored, logged } = serving(3)
    expect((await put('/lights/hall', { level: 1 }, { 'state-version': '2' })).status).toBe(409)
    expect((await put('/lights/hall', { level: 1 }, { 'state-version': '4' })).status).toBe(409)
    const broken = serving(2)
    expect((await broken.put('/lights/hall', null)).status).toBe(409)
    expect([stored, broken.stored]).toEqual([[], []])
    expect(logged.map(([line]) => line)).toEqual(Array(2).fill('iopa: a replica of /lights/hall does not fit PUT /lights/{id}, and is set aside'))
    expect(broken.logged).toHaveLength(1)
  })

  test('of a newer worker is set aside by one of the first version', async () => {
    const { put, stored } = serving(1)
    expect((await put('/lights/hall', { level: 1 }, { 'state-version': '2' })).status).toBe(409)
    expect(stored).toEqual([])
  })
})
