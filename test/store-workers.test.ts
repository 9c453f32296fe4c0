// The same store in three workers on one broker: their documents become equal, through restarts of the broker.
import { App } from '@iopa/appbuilder'
import { mqtt } from '@iopa/mqtt'
import { bridge } from '@iopa/mqtt/bridge'
import { collection, resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { store } from '@iopa/store'
import { seededRandom } from '@iopa/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { describeWith, type Peer, until } from '../packages/iopa-mqtt/test/fixtures/peers.ts'
import { converged, threeWorkers } from './support/three-workers.ts'

const light = resource('/lights/{id}', {
  state: z.object({ on: z.boolean(), level: z.number() }),
  computed: { path: z.string() },
  methods: { get: {}, put: {}, patch: {}, delete: {} }
})
const allLights = collection(light, '/lights', { create: true })

const worker = async (broker: Peer) => {
  const lights = store(light, { computed: { path: (_, { id }) => `/lights/${id}` } })
  const rules: string[] = []
  lights.onChange(({ id, replica }) => rules.push(`${id} ${replica}`))
  const app = new App({ logger: false })
    .use(router())
    .use(resources())
    .use(mqtt({ broker: bridge(broker.url, { reconnect: { initial: 20, maximum: 200 } }) }))
  app.serve(light, lights).serve(allLights, lights)
  await app.listen()
  const ask = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<number> =>
    (
      await app.invoke({
        'iopa.Method': method,
        'iopa.Path': path,
        'iopa.Headers': headers,
        ...(body === undefined ? {} : { 'iopa.Body': body })
      } as never)
    ).status
  const held = async (): Promise<string> => JSON.stringify((await lights.list()).map(({ id, state }) => [id, state]))
  return { app, lights, rules, ask, held }
}

type Worker = Awaited<ReturnType<typeof worker>>

describeWith(['mosquitto'], 'a store in three workers', () => {
  test('has the last state in the order of the broker, deletions included, through restarts of the broker', async () => {
    const { broker, workers } = await threeWorkers(worker)
    const random = seededRandom(7)
    const change = async (round: number): Promise<void> => {
      const { ask, lights } = workers[Math.floor(random() * 3)] as Worker
      const id = `l${Math.floor(random() * 6)}`
      const kind = Math.floor(random() * 6)
      if (kind === 0) await ask('DELETE', `/lights/${id}`)
      else if (kind === 1) await ask('PATCH', `/lights/${id}`, { level: round })
      else if (kind === 2) await lights.put(id, { on: true, level: round })
      else if (kind === 3) await lights.delete(id)
      else if (kind === 4 && round % 10 === 0) await ask('POST', '/lights', { on: false, level: round })
      else await ask('PUT', `/lights/${id}`, { on: true, level: round })
    }
    for (let restart = 0; restart < 3; restart++) {
      for (let round = 0; round < 40; round++) await change(restart * 100 + round)
      await broker.stop()
      // Without a broker they go on, and differ.
      for (let round = 40; round < 50; round++) await change(restart * 100 + round)
      await broker.start()
      for (let round = 50; round < 60; round++) await change(restart * 100 + round)
      await converged(workers)
    }
    await workers[0].lights.put('last', { on: true, level: 1 })
    expect(await converged(workers)).toContain('"last"')
    await workers[1].ask('DELETE', '/lights/last')
    expect(await converged(workers)).not.toContain('"last"')
    for (const { ask } of workers) expect(await ask('GET', '/lights/last')).toBe(410)
  }, 60_000)

  test('judges If-Match by what this worker has applied, and runs rules where a change was made', async () => {
    const { workers } = await threeWorkers(worker)
    const [one, other] = workers
    await one.ask('PUT', '/lights/hall', { on: true, level: 1 })
    await converged(workers)
    expect(one.rules).toEqual(['hall false'])
    expect(other.rules).toEqual([])
    const etag = (await other.app.invoke({ 'iopa.Method': 'GET', 'iopa.Path': '/lights/hall' })).headers.get('etag') as string
    await one.ask('PUT', '/lights/hall', { on: true, level: 2 })
    await until(async () => (await other.lights.get('hall'))?.state.level === 2)
    // The replica has changed the document here: the tag of before does not fit.
    expect(await other.ask('PUT', '/lights/hall', { on: true, level: 3 }, { 'if-match': etag })).toBe(412)
    expect((await other.lights.get('hall'))?.state.level).toBe(2)
  }, 30_000)
})
