import { connectAsync, type IPublishPacket, type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { type House, house } from './fixtures/house.ts'
import { describeWith, mosquitto, type Peer, until } from './fixtures/peers.ts'

let broker: Peer
let device: MqttClient
let heard: { topic: string; payload: string; packet: IPublishPacket }[]
const houses: House[] = []
const open = async (...options: Parameters<typeof house>): Promise<House> => {
  const opened = await house(...options)
  houses.push(opened)
  return opened
}

describeWith(['mosquitto'], 'a worker on mosquitto', () => {
  beforeAll(async () => {
    broker = await mosquitto()
  })
  afterAll(() => broker?.dispose())
  beforeEach(async () => {
    device = await connectAsync(broker.url, { protocolVersion: 5 })
    heard = []
    device.on('message', (topic, payload, packet) => heard.push({ topic, payload: payload.toString(), packet }))
  })
  afterEach(async () => {
    for (const opened of houses.splice(0)) {
      await opened.close(500)
      expect(opened.app.live).toBe(0)
    }
    await device.subscribeAsync('#', { qos: 1 })
    await device.endAsync(true)
  })

  it('handles a command as a PUT and publishes the new state, retained', async () => {
    const worker = await open({ broker: broker.url })
    await device.subscribeAsync('state/#', { qos: 1 })
    await device.publishAsync('lights/hall', 'on', { qos: 1 })
    await until(() => heard.length > 0)
    expect(worker.seen).toEqual([{ method: 'PUT', path: '/lights/hall', body: 'on', replica: false, protocol: 'MQTT/5.0' }])
    expect(heard.map(({ topic, payload }) => [topic, payload])).toEqual([['state/lights/hall', 'on']])
    expect(heard[0]?.packet.properties?.contentType).toMatch(/^text\/plain/)
  })
})
