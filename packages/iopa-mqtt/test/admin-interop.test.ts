import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { router } from '@iopa/router'
import { connectAsync } from 'mqtt'
import { expect, test } from 'vitest'
import { mqtt } from '../src/mqtt.ts'
import { until } from './fixtures/peers.ts'

const run = promisify(execFile)

test('curl, coap-client and mosquitto see the clients of a broker, and end the connection of one', async () => {
  const app = new App({ logger: false })
    .use(router())
    .use(http({ port: 0 }))
    .use(coap({ port: 0 }))
    .use(mqtt({ port: 0, admin: '/mqtt' }))
  const [web, constrained, broker] = await app.listen()
  const port = String(broker?.url.port)
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'sensor', protocolVersion: 5, reconnectPeriod: 0, resubscribe: false })
  try {
    await client.subscribeAsync('lights/#')
    await client.publishAsync('lights/hall', 'on', { qos: 1, retain: true })
    const curl = async (...args: string[]): Promise<string> => (await run('curl', ['-sS', ...args])).stdout
    const at = (path: string): string => `${web?.url.origin}/mqtt${path}`
    expect(JSON.parse(await curl(at('/sessions')))).toMatchObject({ items: [{ key: 'sensor', connected: true, subscriptions: 1 }] })
    expect(JSON.parse(await curl(at('/retained/lights/hall?payload=true')))).toMatchObject({ topic: 'lights/hall', payload: 'on' })
    const constrainedAnswer = await run('coap-client-notls', ['-m', 'get', `coap://127.0.0.1:${constrained?.url.port}/mqtt/sessions/sensor`])
    expect(JSON.parse(constrainedAnswer.stdout.trim())).toMatchObject({ clientId: 'sensor', address: '127.0.0.1' })
    const events = run('mosquitto_sub', ['-p', port, '-i', 'operator', '-t', 'mqtt/events', '-C', '2', '-W', '10'])
    const stream = run('curl', ['-sSN', '-m', '2', '-H', 'accept: text/event-stream', at('/events')]).catch((error: { stdout: string }) => error)
    const closed = new Promise<number | undefined>(resolve => client.once('disconnect', packet => resolve(packet.reasonCode)))
    await until(() => app.counters()['mqtt']?.sessions === 2)
    await run('mosquitto_pub', [
      ...['-p', port, '-V', '5', '-i', 'kicker', '-q', '1', '-t', 'mqtt/sessions/sensor/connection', '-n'],
      ...['-D', 'publish', 'user-property', 'method', 'DELETE']
    ])
    expect(await closed).toBe(0x98)
    // Changes that follow each other at once may be one message.
    expect((await events).stdout.split('\n')[1]).toContain('"event":"subscribed"')
    const later = await run('mosquitto_sub', ['-p', port, '-i', 'later', '-t', 'mqtt/events', '-C', '1', '-W', '10'])
    expect(later.stdout).toContain('"reason":"administrative-action"')
    expect((await stream).stdout).toContain('"event":"disconnected"')
  } finally {
    await client.endAsync(true)
    await app.close({ timeout: 100 })
  }
  expect(app.live).toBe(0)
})
