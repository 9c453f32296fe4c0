import { App } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { type Clock, systemClock } from '@iopa/transport'
import { afterEach, describe, expect, test } from 'vitest'
import { bridge } from '../src/bridge.ts'
import { mqtt } from '../src/mqtt.ts'
import { until } from './fixtures/peers.ts'
import { connack, type ScriptedBroker, scriptedBroker, type Visit } from './fixtures/scripted-broker.ts'

/** Time of the app runs thirty times as fast as that of the sockets. */
const FAST = 30
const clock: Clock = { ...systemClock, setTimeout: (callback, ms) => systemClock.setTimeout(callback, ms / FAST) }

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

/** A broker that echoes states; `returning` answers the SUBSCRIBE of the second connection. */
const serve = async (returning: (visit: Visit, grant: () => void) => void): Promise<ScriptedBroker> => {
  const broker = await scriptedBroker((packet, visit, number) => {
    if (packet.cmd === 'connect') visit.send(connack(0, { sharedSubscriptionAvailable: true } as never))
    else if (packet.cmd === 'pingreq') visit.send({ cmd: 'pingresp' })
    else if (packet.cmd === 'unsubscribe') visit.send({ cmd: 'unsuback', messageId: packet.messageId as number, granted: [0x11] } as never)
    else if (packet.cmd === 'subscribe') {
      const grant = (): void => visit.send({ cmd: 'suback', messageId: packet.messageId as number, granted: packet.subscriptions.map(() => 1) })
      const isState = packet.subscriptions.some(({ topic }) => topic.startsWith('state/'))
      if (number > 1 && isState) returning(visit, grant)
      else grant()
    } else if (packet.cmd === 'publish') {
      visit.send({ cmd: 'puback', messageId: packet.messageId as number, reasonCode: 0 })
      visit.send({ ...packet, messageId: 500 + Number(packet.messageId), retain: false })
    }
  })
  open.push(() => broker.close())
  return broker
}

const worker = async (broker: ScriptedBroker): Promise<{ lights: Map<string, string> }> => {
  const lights = new Map<string, string>()
  const app = new App({ logger: false, clock })
    .use(router())
    .use(mqtt({ broker: bridge(broker.url, { reconnect: { initial: 20, maximum: 20 }, connectTimeout: 60_000 }) }))
  app.get('/lights/:id', ({ params }) => lights.get(params.id))
  app.put('/lights/:id', async context => void lights.set(context.params.id, await context.text()))
  await app.listen()
  open.push(() => app.close({ timeout: 100 }))
  await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/hall', 'iopa.Body': 'on' })
  await until(() => states(broker, 0).length === 1)
  return { lights }
}

/** What the worker has published of states on a connection. */
const states = (broker: ScriptedBroker, visit: number): string[] =>
  (broker.visits[visit]?.received ?? []).flatMap(packet => (packet.cmd === 'publish' && packet.topic.startsWith('state/') ? [packet.topic] : []))

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

describe('a worker whose session the broker has lost', () => {
  test('publishes its states again if none arrives after the subscription was answered', async () => {
    const broker = await serve((_visit, grant) => grant())
    await worker(broker)
    broker.visits[0]?.socket.destroy()
    await until(() => states(broker, 1).length === 1)
  })

  test('publishes them again although the next connection was lost as well before that was known', async () => {
    const broker = await serve((visit, grant) => {
      if (broker.visits.length === 2) visit.socket.destroy()
      else grant()
    })
    await worker(broker)
    broker.visits[0]?.socket.destroy()
    await until(() => broker.visits.some((_visit, index) => index >= 2 && states(broker, index).length === 1))
  })

  test('does not take a broker that answers the subscription late for one that has lost its store', async () => {
    let granted = false
    const broker = await serve((visit, grant) => {
      // 6 s of the app's time.
      setTimeout(() => {
        granted = true
        grant()
        visit.send({ cmd: 'publish', topic: 'state/lights/hall', payload: 'off', qos: 1, messageId: 900, dup: false, retain: true })
      }, 200)
    })
    const { lights } = await worker(broker)
    broker.visits[0]?.socket.destroy()
    await until(() => granted)
    await pause(200)
    expect(states(broker, 1)).toEqual([])
    expect(lights.get('hall')).toBe('off')
  })
})
