// The same twins in three workers on one broker: their parts become equal, through restarts of the broker.
import { App } from '@iopa/appbuilder'
import { mqtt } from '@iopa/mqtt'
import { bridge } from '@iopa/mqtt/bridge'
import { resources, twin } from '@iopa/resource'
import { router } from '@iopa/router'
import { twins } from '@iopa/store'
import { seededRandom } from '@iopa/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { describeWith, type Peer, until } from '../packages/iopa-mqtt/test/fixtures/peers.ts'
import { converged, threeWorkers } from './support/three-workers.ts'

const Lamp = z.object({ on: z.boolean(), level: z.number() }).partial()
const lamp = twin('/devices/{id}', { reported: Lamp, desired: Lamp })
const IDS = ['d0', 'd1', 'd2']

const worker = async (broker: Peer) => {
  const devices = twins(lamp, { device: () => true, user: context => !context['server.IsReplica'] })
  const app = new App({ logger: false })
    .use(router())
    .use(resources())
    .use(mqtt({ broker: bridge(broker.url, { reconnect: { initial: 20, maximum: 200 } }) }))
  app.serve(lamp, devices)
  await app.listen()
  const ask = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    app.invoke({ 'iopa.Method': method, 'iopa.Path': path, 'iopa.Headers': headers, ...(body === undefined ? {} : { 'iopa.Body': body }) } as never)
  const held = async (): Promise<string> =>
    JSON.stringify(
      await Promise.all(
        IDS.map(async id => {
          const found = await devices.get(id)
          return found === undefined ? null : [sorted(found.reported), sorted(found.desired), sorted(found.delta)]
        })
      )
    )
  return { app, devices, ask, held }
}

const sorted = (members: object): unknown => Object.entries(members).sort(([one], [other]) => (one < other ? -1 : 1))

type Worker = Awaited<ReturnType<typeof worker>>

describeWith(['mosquitto'], 'twins in three workers', () => {
  test('have the last parts in the order of the broker, through restarts of the broker, and are deleted everywhere', async () => {
    const { broker, workers } = await threeWorkers(worker)
    const random = seededRandom(7)
    const change = async (round: number): Promise<void> => {
      const { ask, devices } = workers[Math.floor(random() * 3)] as Worker
      const id = IDS[Math.floor(random() * IDS.length)] as string
      const kind = Math.floor(random() * 5)
      if (kind === 0) await ask('PATCH', `/devices/${id}/desired`, { level: round })
      else if (kind === 1) await devices.desire(id, { on: round % 2 === 0 })
      else if (kind === 2) await ask('PUT', `/devices/${id}/reported`, { on: true, level: round })
      else {
        const delta = await ask('GET', `/devices/${id}/delta`)
        await ask('PATCH', `/devices/${id}/reported`, { level: round - 1 }, { 'iopa-seen': delta.headers.get('etag') as string })
      }
    }
    for (let restart = 0; restart < 2; restart++) {
      for (let round = 0; round < 40; round++) await change(restart * 100 + round)
      await broker.stop()
      // Without a broker they go on, and differ.
      for (let round = 40; round < 50; round++) await change(restart * 100 + round)
      await broker.start()
      for (let round = 50; round < 60; round++) await change(restart * 100 + round)
      await converged(workers)
    }
    await workers[0].devices.desire('d0', { level: 7 })
    expect(await converged(workers)).toContain('7')
    await workers[1].ask('DELETE', '/devices/d0')
    await converged(workers)
    for (const { ask } of workers) expect((await ask('GET', '/devices/d0')).status).toBe(404)
  }, 60_000)

  test('count what was seen of the delta of another worker as nothing: no wish ends by it', async () => {
    const { workers } = await threeWorkers(worker)
    const [one, other] = workers
    await one.ask('PUT', '/devices/d0/desired', { level: 50 })
    await converged(workers)
    const seen = (await one.ask('GET', '/devices/d0/delta')).headers.get('etag') as string
    await other.ask('PATCH', '/devices/d0/desired', { on: true })
    await other.ask('PATCH', '/devices/d0/reported', { level: 40, on: false }, { 'iopa-seen': seen })
    expect((await other.devices.get('d0'))?.desired).toEqual({ level: 50, on: true })
    expect(await converged(workers)).toContain('50')
    const own = (await other.ask('GET', '/devices/d0/delta')).headers.get('etag') as string
    await other.ask('PATCH', '/devices/d0/reported', { level: 30 }, { 'iopa-seen': own })
    await until(async () => JSON.stringify((await one.devices.get('d0'))?.desired) === '{"on":true}')
  }, 30_000)
})
