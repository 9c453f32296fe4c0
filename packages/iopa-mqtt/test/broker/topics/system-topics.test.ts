import { spawn } from 'node:child_process'
import { App } from '@iopa/appbuilder'
import { afterEach, describe, expect, test } from 'vitest'
import { LoadAverages } from '../../../src/broker/topics/system-topics.ts'
import { mqtt } from '../../../src/mqtt.ts'
import { describeWith, mosquitto } from '../../fixtures/peers.ts'
import { closeLabs, type Lab, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

/** The figures that a new client is given. */
const figures = async (lab: Lab): Promise<Map<string, string>> => {
  await lab.rest(2000)
  const client = await lab.client({ clientId: 'watcher' })
  await client.subscribe('$SYS/#')
  const found = new Map<string, string>()
  for (const message of await client.messages()) {
    const [, name = '', value = ''] = /^\$SYS\/broker\/(.*?) (\d+ seconds|\S+(?: 5\.0)?)$/.exec(message) ?? []
    found.set(name, value)
  }
  await client.leave()
  return found
}

/** The topics below `$SYS/broker` that mosquitto_sub gets from a broker, once there is one with this name. */
const names = async (port: number, last: string): Promise<string[]> => {
  for (let attempt = 0; attempt < 50; attempt++) {
    const found = new Set<string>()
    const sub = spawn('mosquitto_sub', ['-p', String(port), '-t', '$SYS/#', '-F', '%t', '-W', '2'])
    let text = ''
    sub.stdout.on('data', data => {
      text += data
    })
    await new Promise(resolve => sub.once('close', resolve))
    for (const line of text.split('\n')) if (line.startsWith('$SYS/broker/')) found.add(line.slice(12))
    if (found.has(last)) return [...found]
  }
  throw new Error(`no figures on port ${port}`)
}

describe('the figures of a broker', () => {
  test('count packets, messages and bytes both ways', async () => {
    const net = await lab(undefined, { statistics: 1 })
    const client = await net.client({ clientId: 'c' })
    await client.subscribe('a')
    client.publish('a', '12345')
    client.publish('a', '12345')
    await net.rest()
    const found = await figures(net)
    expect(
      Object.fromEntries(
        ['publish/messages/received', 'publish/messages/sent', 'publish/bytes/received', 'publish/bytes/sent'].map(name => [name, found.get(name)])
      )
    ).toEqual({
      'publish/messages/received': '2',
      'publish/messages/sent': '2',
      'publish/bytes/received': '10',
      'publish/bytes/sent': '10'
    })
    // CONNECT, SUBSCRIBE; CONNACK, SUBACK.
    expect(found.get('messages/received')).toBe('4')
    expect(found.get('messages/sent')).toBe('4')
    expect(Number(found.get('bytes/sent'))).toBeGreaterThan(20)
    expect(found.get('clients/maximum')).toBe('1')
    expect(Number(found.get('load/bytes/received/1min'))).toBeGreaterThan(0)
    expect(found.get('uptime')).toMatch(/^\d+ seconds$/)
  })

  test('show what was dropped, and the log names each kind at a bounded rate', async () => {
    const infos: string[] = []
    const net = await lab(
      app => {
        Object.assign(app.logger, { info: (text: string) => infos.push(text) })
      },
      { statistics: 1, limits: { queueMessages: 10, queueBytes: 1000 } }
    )
    const away = await net.client({ clientId: 'away', clean: false, properties: { sessionExpiryInterval: 3 } })
    await away.subscribe([...['zero']], { qos: 0 })
    await away.subscribe('one', { qos: 1 })
    await away.vanish()
    const slow = await net.client({ clientId: 'slow' })
    await slow.subscribe('flood')
    slow.pause()
    const publisher = await net.client({ clientId: 'publisher' })
    for (let index = 0; index < 5; index++) publisher.publish('zero', 'x')
    await publisher.put('one', 'x')
    await publisher.put('one', 'x', { properties: { messageExpiryInterval: 1 } })
    for (let index = 0; index < 3000; index++) {
      publisher.publish('flood', 'x'.repeat(1000))
      if (index % 100 === 0) await net.rest(1)
    }
    await net.rest(100)
    const before = await figures(net)
    expect(before.get('publish/messages/dropped/absent')).toBe('5')
    expect(Number(before.get('publish/messages/dropped'))).toBeGreaterThan(100)
    expect(infos.filter(text => text.includes('away'))).toHaveLength(1)
    expect(net.errors.filter(([text]) => String(text).includes('takes too little'))).toHaveLength(1)
    // What waits for a session that expires is dropped as well.
    await net.rest(5000)
    const after = await figures(net)
    expect(Number(after.get('publish/messages/dropped')) - Number(before.get('publish/messages/dropped'))).toBeGreaterThanOrEqual(2)
    expect(after.get('clients/expired')).toBe('1')
  })

  test('average over minutes as mosquitto does', () => {
    const averages = new LoadAverages()
    // 10 in 10 seconds are 60 a minute.
    for (let now = 10; now <= 600; now += 10) averages.update(now, 10)
    const [one, five, fifteen] = averages.update(610, 10).map(([, value]) => value)
    expect(one).toBeCloseTo(60, 1)
    expect(five).toBeCloseTo(60 * (1 - Math.exp(-610 / 300)), 0)
    expect(fifteen).toBeCloseTo(60 * (1 - Math.exp(-610 / 900)), 0)
  })
})

describeWith(['mosquitto', 'mosquitto_sub'], 'the figures of a broker, beside those of another', () => {
  test('have every name that mosquitto has', { timeout: 15_000 }, async () => {
    const peer = await mosquitto(['sys_interval 1'])
    const app = new App({ logger: false }).use(mqtt({ port: 0, statistics: 1 }))
    try {
      const [listener] = await app.listen()
      const [theirs, ours] = await Promise.all([names(peer.port, 'clients/maximum'), names(Number(listener?.url.port), 'clients/maximum')])
      expect(theirs.length).toBeGreaterThan(40)
      expect(theirs.filter(name => !ours.includes(name))).toEqual([])
    } finally {
      await peer.dispose()
      await app.close({ timeout: 100 })
    }
  })
})
