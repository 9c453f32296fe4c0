import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { App, type Context, IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import type { Listener } from '@iopa/transport'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { afterEach, describe, expect, test } from 'vitest'
import type { MqttOptions } from '../src/mqtt.ts'
import { mqtt } from '../src/mqtt.ts'
import { websocket } from '../src/websocket.ts'
import { describeWith, until } from './fixtures/peers.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface Home {
  readonly app: App
  readonly port: number
  readonly lights: Map<string, { on: boolean; level: number }>
  readonly listener: Listener
}

/** The lights of a house on the embedded broker. */
const home = async (options: MqttOptions = {}): Promise<Home> => {
  const lights = new Map([['hall', { on: false, level: 0 }]])
  const app = new App({ logger: false }).use(router()).use(mqtt({ port: 0, ...options }))
  app.get('/lights/:id', ({ params }) => lights.get(params.id) ?? Promise.reject(new IopaError(404, 'no-light', 'There is no such light.')))
  app.put('/lights/:id', async (context: Context) => {
    const light = await context.json<{ on: boolean; level: number }>()
    if (typeof light.on !== 'boolean') throw new IopaError(422, 'invalid-field', "'on' must be a boolean.")
    lights.set(context.params['id']!, light)
  })
  const [listener] = (await app.listen()) as [Listener]
  closing.push(async () => {
    await app.close({ timeout: 100 })
    expect(app.live).toBe(0)
  })
  return { app, port: Number(listener.url.port), lights, listener }
}

/** Runs a program to its end. */
const run = async (program: string, args: readonly string[]): Promise<{ code: number; output: string }> => {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => (output += text))
  const [code] = (await once(child, 'close')) as [number]
  return { code, output }
}

/** Starts a program, and gives the lines that it prints. */
const follow = (program: string, args: readonly string[]): string[] => {
  const lines: string[] = []
  let rest = ''
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  child.stdout.setEncoding('utf8').on('data', text => {
    const parts = (rest + text).split('\n')
    rest = parts.pop()!
    lines.push(...parts)
  })
  closing.push(async () => {
    const exited = once(child, 'exit')
    if (child.kill()) await exited
  })
  return lines
}

describeWith(['mosquitto_pub', 'mosquitto_sub'], 'mosquitto_pub and mosquitto_sub on the embedded broker', () => {
  const at = (port: number, version: string): string[] => ['-h', '127.0.0.1', '-p', String(port), '-V', version]

  test.each(['mqttv31', 'mqttv311', 'mqttv5'])('change and hear a resource with %s', async version => {
    const { app, port, lights } = await home()
    const heard = follow('mosquitto_sub', [...at(port, version), '-t', 'lights/#', '-q', '1', '-v'])
    await until(() => heard.length === 1 || app.live > 1)
    const done = await run('mosquitto_pub', [...at(port, version), '-t', 'lights/hall', '-m', '{"on":true,"level":10}', '-q', '1'])
    expect(done).toEqual({ code: 0, output: '' })
    expect(lights.get('hall')).toEqual({ on: true, level: 10 })
    await until(() => heard.includes('lights/hall {"on":true,"level":10}'))
    expect((await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/hall', 'iopa.Body': { on: false, level: 0 } })).status).toBe(204)
    await until(() => heard.at(-1) === 'lights/hall {"on":false,"level":0}')
  })

  test('get the reason for a refused payload, with MQTT 5', async () => {
    const { port, lights } = await home()
    const refused = await run('mosquitto_pub', [...at(port, 'mqttv5'), '-t', 'lights/hall', '-m', '{"on":"maybe"}', '-q', '1', '-d'])
    expect(refused.output).toMatch(/RC:153|Payload format invalid/)
    expect(lights.get('hall')).toEqual({ on: false, level: 0 })
  })

  test('exchange plain messages of every QoS, retained ones and shared ones', async () => {
    const { port } = await home()
    for (const qos of ['0', '1', '2']) {
      expect((await run('mosquitto_pub', [...at(port, 'mqttv5'), '-t', `plain/${qos}`, '-m', `kept ${qos}`, '-q', qos, '-r'])).code).toBe(0)
      const { output } = await run('mosquitto_sub', [...at(port, 'mqttv311'), '-t', `plain/${qos}`, '-q', qos, '-C', '1', '-W', '5'])
      expect(output).toBe(`kept ${qos}\n`)
    }
    const one = follow('mosquitto_sub', [...at(port, 'mqttv5'), '-t', '$share/g/work', '-q', '1'])
    const two = follow('mosquitto_sub', [...at(port, 'mqttv5'), '-t', '$share/g/work', '-q', '1'])
    await until(async () => {
      await run('mosquitto_pub', [...at(port, 'mqttv5'), '-t', 'work', '-m', 'x', '-q', '1'])
      return one.length > 1 && two.length > 1
    }, 10_000)
  })
})

describe('MQTT.js on the embedded broker', () => {
  const exchange = async (url: string, options: IClientOptions): Promise<void> => {
    const client: MqttClient = await connectAsync(url, { reconnectPeriod: 0, ...options })
    closing.push(() => client.endAsync(true))
    const heard: string[] = []
    client.on('message', (topic, payload) => heard.push(`${topic} ${payload}`))
    await client.subscribeAsync('lights/+', { qos: 1 })
    for (const qos of [0, 1, 2] as const) {
      await client.publishAsync('lights/hall', `{"on":true,"level":${qos}}`, { qos })
      await until(() => heard.at(-1) === `lights/hall {"on":true,"level":${qos}}`)
    }
    // Larger than one read of a socket, and than one message of a WebSocket needs to be.
    const large = 'x'.repeat(300_000)
    await client.subscribeAsync('plain/large', { qos: 1 })
    await client.publishAsync('plain/large', large, { qos: 1 })
    await until(() => heard.at(-1) === `plain/large ${large}`)
  }

  test.each([3, 4, 5] as const)('exchanges messages over TCP with protocol version %i', async protocolVersion => {
    const { port } = await home()
    await exchange(`mqtt://127.0.0.1:${port}`, protocolVersion === 3 ? { protocolVersion, protocolId: 'MQIsdp' } : { protocolVersion })
  })

  test.each([4, 5] as const)('exchanges messages over WebSocket with protocol version %i', async protocolVersion => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    closing.push(() => server.close())
    await home({ websocket: websocket({ server }) })
    await exchange(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/mqtt`, { protocolVersion })
  })
})
