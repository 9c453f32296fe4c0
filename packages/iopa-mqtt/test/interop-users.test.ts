import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { App } from '@iopa/appbuilder'
import { connect, type IClientOptions, type MqttClient } from 'mqtt'
import { afterEach, expect, test } from 'vitest'
import { type MqttOptions, mqtt } from '../src/mqtt.ts'
import { describeWith } from './fixtures/peers.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** A broker whose users are user names. */
const broker = async (options: MqttOptions = {}): Promise<number> => {
  const app = new App({ logger: false })
    .use((context, next) => {
      const name = context['mqtt.UserName']
      if (context.method === 'CONNECT' && name !== undefined) context.user = { id: name }
      return next()
    })
    .use(mqtt({ port: 0, ...options }))
  const [listener] = await app.listen()
  closing.push(async () => {
    await app.close({ timeout: 100 })
    expect(app.live).toBe(0)
  })
  return Number(listener?.url.port)
}

/** mosquitto_sub of a user with a session that stays: how it ended, and what it got. */
const subscribe = async (port: number, version: string, user: string, more: readonly string[] = []): Promise<{ code: number; lines: string[] }> => {
  const args = ['-h', '127.0.0.1', '-p', String(port), '-V', version, '-i', 'sensor', '-c', '-q', '1', '-t', 'queue', '-u', user, '-P', 'x']
  const child = spawn('mosquitto_sub', [...args, ...(version === '5' ? ['-x', '600'] : []), ...more], { stdio: ['ignore', 'pipe', 'ignore'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', text => (output += text))
  const [code] = (await once(child, 'close')) as [number]
  return { code, lines: output.split('\n').filter(line => line !== '') }
}

const publish = async (port: number, payload: string): Promise<void> => {
  const child = spawn('mosquitto_pub', ['-h', '127.0.0.1', '-p', String(port), '-q', '1', '-t', 'queue', '-m', payload, '-u', 'publisher', '-P', 'x'])
  expect(await once(child, 'close')).toEqual([0, null])
}

/** An mqtt.js client, and the code that it is answered with. */
const client = async (port: number, options: IClientOptions): Promise<{ made: MqttClient; code: number }> => {
  const made = connect(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, clientId: 'sensor', clean: false, ...options })
  closing.push(() => made.endAsync(true))
  const code = await new Promise<number>(resolve => {
    made.once('connect', () => resolve(0))
    made.on('error', error => resolve((error as Error & { code: number }).code))
  })
  return { made, code }
}

describeWith(['mosquitto_pub', 'mosquitto_sub'], 'real clients of different users with one client identifier', () => {
  test.each(['5', '311'])('have a session each (mosquitto, MQTT %s)', async version => {
    const port = await broker()
    const leaves = ['-E']
    expect((await subscribe(port, version, 'ann', leaves)).code).toBe(0)
    await publish(port, 'for ann')
    expect(await subscribe(port, version, 'bob', ['-W', '1'])).toMatchObject({ lines: [] })
    await publish(port, 'for both')
    expect(await subscribe(port, version, 'bob', ['-C', '1', '-W', '5'])).toEqual({ code: 0, lines: ['for both'] })
    expect(await subscribe(port, version, 'ann', ['-C', '2', '-W', '5'])).toEqual({ code: 0, lines: ['for ann', 'for both'] })
  })

  test.each([
    [5, 0x87],
    [4, 5]
  ] as const)("are refused with clientIds: 'exclusive' (mqtt.js, MQTT %s)", async (protocolVersion, code) => {
    const port = await broker({ clientIds: 'exclusive' })
    const { made: ann } = await client(port, { protocolVersion, username: 'ann' })
    expect((await client(port, { protocolVersion, username: 'bob' })).code).toBe(code)
    expect(ann.connected).toBe(true)
    await ann.endAsync()
    expect((await client(port, { protocolVersion, username: 'bob' })).code).toBe(0)
  })

  test('do not fill the sessions of a broker (mqtt.js)', async () => {
    const port = await broker({ maxSessions: 5 })
    for (let index = 0; index < 8; index++) {
      const options: IClientOptions = { protocolVersion: 5, username: 'mallory', clientId: `m-${index}`, properties: { sessionExpiryInterval: 600 } }
      await (await client(port, options)).made.endAsync()
    }
    for (const username of ['ann', 'bob']) expect((await client(port, { protocolVersion: 5, username, clientId: username })).code).toBe(0)
  })
})
