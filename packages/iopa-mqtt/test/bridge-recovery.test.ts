import { connectAsync } from 'mqtt'
import { afterEach, expect, test } from 'vitest'
import type { HouseOptions } from './fixtures/house.ts'
import { type House, house } from './fixtures/house.ts'
import { describeWith, mosquitto, nats, type Peer, until } from './fixtures/peers.ts'

const houses: House[] = []
const peers: Peer[] = []

const open = async (peer: Peer, options: Partial<HouseOptions> = {}, hook: House['hook'] = null): Promise<House> => {
  const opened = await house({ broker: peer.url, reconnect: { initial: 20, maximum: 200 }, ...options }, hook)
  houses.push(opened)
  return opened
}

const started = async (peer: Promise<Peer>): Promise<Peer> => {
  const running = await peer
  peers.push(running)
  return running
}

afterEach(async () => {
  for (const opened of houses.splice(0)) await opened.close(300)
  for (const peer of peers.splice(0)) await peer.dispose()
})

describeWith(['mosquitto'], 'a worker on mosquitto', () => {
  test('publishes its states again when the broker has lost its retained store', async () => {
    const broker = await started(mosquitto(['persistence false']))
    const one = await open(broker)
    await one.put('hall', 'on')
    await one.put('attic', 'off')
    const retained = async (): Promise<Record<string, string>> => {
      const device = await connectAsync(broker.url, { reconnectPeriod: 0 })
      const heard: Record<string, string> = {}
      device.on('message', (topic, payload) => void (heard[topic] = payload.toString()))
      await device.subscribeAsync('state/lights/+', { qos: 1 })
      await new Promise(resolve => setTimeout(resolve, 100))
      await device.endAsync(true)
      return heard
    }
    const states = { 'state/lights/hall': 'on', 'state/lights/attic': 'off' }
    await until(async () => JSON.stringify(await retained()).length === JSON.stringify(states).length)
    await broker.stop('SIGKILL')
    await broker.start()
    expect(await retained()).toEqual({})
    await until(async () => Object.keys(await retained()).length === 2, 15_000)
    expect(await retained()).toEqual(states)
  }, 30_000)

  test('works on other topics while 200 commands on one topic are held', async () => {
    const broker = await started(mosquitto())
    const one = await open(broker, { share: 'lights' }, context => {
      if (context.path !== '/lights/stuck') return
      context.response.status = 503
      throw Object.assign(new Error('full'), { name: 'IopaError', status: 503, code: 'full' })
    })
    const device = await connectAsync(broker.url, { protocolVersion: 5 })
    for (let index = 0; index < 200; index++) device.publish('lights/stuck', String(index), { qos: 1 })
    await until(() => one.seen.some(({ path }) => path === '/lights/stuck'))
    await device.publishAsync('lights/hall', 'on', { qos: 1 })
    await until(() => one.lights.get('hall') === 'on')
    await device.endAsync(true)
  })

  test('reconnects at once when the broker has closed the connection', async () => {
    const broker = await started(mosquitto())
    const one = await open(broker, { reconnect: { initial: 60_000, maximum: 60_000 }, clientId: 'worker' })
    // Another client with its identifier takes the connection away, and leaves.
    const thief = await connectAsync(broker.url, { clientId: 'worker', reconnectPeriod: 0, protocolVersion: 4 })
    await thief.endAsync(true)
    await one.put('hall', 'on')
    await one.app.close({ timeout: 5000 })
    const device = await connectAsync(broker.url)
    const heard: string[] = []
    device.on('message', (_topic, payload) => heard.push(payload.toString()))
    await device.subscribeAsync('state/lights/+')
    await until(() => heard.includes('on'))
    await device.endAsync(true)
  }, 15_000)
})

describeWith(['nats-server'], 'a worker on NATS', () => {
  test('drops a state that the broker refuses by closing, and continues with the rest', async () => {
    const broker = await started(nats())
    const one = await open(broker)
    const device = await connectAsync(broker.url, { protocolVersion: 4 })
    const heard: string[] = []
    device.on('message', (topic, payload) => heard.push(`${topic} ${payload}`))
    await device.subscribeAsync('state/lights/+', { qos: 1 })
    // NATS takes no space in a topic, and closes the connection.
    await one.put('my light', 'on')
    await one.put('hall', 'on')
    await until(() => heard.includes('state/lights/hall on'), 20_000)
    await until(() => one.bridge !== null && heard.length >= 1)
    await one.put('attic', 'on')
    await until(() => heard.includes('state/lights/attic on'), 20_000)
    await device.endAsync(true)
  }, 60_000)
})
