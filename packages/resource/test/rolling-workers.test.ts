import { App } from '@iopa/appbuilder'
import { mqtt } from '@iopa/mqtt'
import { bridge } from '@iopa/mqtt/bridge'
import { router } from '@iopa/router'
import { expect, test, vi } from 'vitest'
import { z } from 'zod'
import { resource, resources } from '../src/index.ts'

const first = resource('/lights/{id}', { state: z.object({ brightness: z.number() }), methods: { get: {}, put: {} } })
const second = resource('/lights/{id}', {
  state: z.object({ level: z.number() }),
  version: 2,
  migrate: old => ({ level: (old as { brightness: number }).brightness }),
  methods: { get: {}, put: {} }
})

test('workers of two versions share one broker: older states are migrated, newer ones are set aside', async () => {
  const broker = new App({ logger: false }).use(mqtt({ port: 0 }))
  const [listener] = await broker.listen()
  const logged: string[] = []
  const worker = async (contract: typeof first | typeof second) => {
    const states = new Map<string, unknown>()
    const app = new App({ logger: { error: (line: unknown) => void logged.push(String(line)), warn() {}, info() {}, debug() {} } })
      .use(router())
      .use(resources())
      .use(mqtt({ broker: bridge(`mqtt://127.0.0.1:${listener?.url.port}`) }))
    app.serve(contract as typeof first, {
      get: ({ params }) => states.get(params.id) as never,
      put: ({ params, input }) => {
        states.set(params.id, input)
        return input
      }
    })
    await app.listen()
    return { app, states, put: (id: string, body: unknown) => app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': `/lights/${id}`, 'iopa.Body': body }) }
  }
  const [old, young] = [await worker(first), await worker(second)]
  try {
    await old.put('hall', { brightness: 3 })
    await vi.waitFor(() => expect(young.states.get('hall')).toEqual({ level: 3 }), 3000)
    await young.put('attic', { level: 4 })
    await vi.waitFor(() => expect(logged.some(line => line.includes('/lights/attic') && line.includes('is set aside'))).toBe(true), 3000)
    expect(old.states.has('attic')).toBe(false)
    // A worker of the second version that starts later gets what the broker has kept, of both versions.
    const third = await worker(second)
    await vi.waitFor(() => expect([third.states.get('hall'), third.states.get('attic')]).toEqual([{ level: 3 }, { level: 4 }]), 3000)
    await third.app.close()
  } finally {
    await Promise.all([old.app.close(), young.app.close()])
    await broker.close()
  }
})
