import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { virtualClock, virtualNetwork } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { CODE, formatCode } from '../src/codec/codes.ts'
import { decode } from '../src/codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { type RawRequest, rawRequest } from './raw-peer.ts'

const GROUP = '224.0.1.187'

/** Twenty servers in the group, and one who asks them all. */
const group = async () => {
  const clock = virtualClock()
  const network = virtualNetwork({ clock })
  const handled: string[] = []
  const apps: App[] = []
  for (let i = 1; i <= 20; i++) {
    const host = `10.0.1.${i}`
    const app = new App({ logger: false, clock })
      .use(router())
      .use(coap({ host, port: 5683, allowUnauthenticated: true, multicast: true, amplification: false, network: network.machine(host) }))
    app.get('/test', { rt: i === 7 ? 'lamp' : 'socket' }, () => {
      handled.push(host)
      return `test ${i}`
    })
    app.post('/test', () => {
      handled.push(host)
    })
    app.get('/fails', () => {
      throw new Error('inside')
    })
    await app.listen()
    apps.push(app)
  }
  const answers: { message: ReceivedMessage; from: string; time: number }[] = []
  const channel = await network.machine('10.0.0.2').bind({ host: '10.0.0.2', port: 0 })
  channel.open({ message: (bytes, from) => answers.push({ message: decode(bytes) as ReceivedMessage, from, time: clock.now() }), error: () => {} })
  return {
    clock,
    handled,
    answers,
    live: () => apps.reduce((sum, app) => sum + app.live, 0),
    ask: (code: number, request: RawRequest) => channel.send(rawRequest(code, { type: TYPE.NON, ...request }), 5683, GROUP),
    close: () => clock.runUntil(Promise.all(apps.map(app => app.close({ timeout: 100 }))))
  }
}

describe('multicast (RFC 7252 section 8)', () => {
  test('is answered by every member from its own address, spread over the leisure, each in a NON', async () => {
    const { clock, ask, answers, close } = await group()
    ask(CODE.GET, { path: '/test' })
    await clock.advance(6000)
    expect(new Set(answers.map(({ from }) => from)).size).toBe(20)
    expect(answers.map(({ message }) => `${message.type} ${formatCode(message.code)}`)).toEqual(Array.from({ length: 20 }, () => '1 2.05'))
    const times = answers.map(({ time }) => time)
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(1000)
    expect(Math.max(...times)).toBeLessThanOrEqual(5100)
    await close()
  })

  test('is not answered with an error, nor to a request that would change something', async () => {
    const { clock, ask, answers, handled, live, close } = await group()
    ask(CODE.GET, { path: '/nowhere' })
    ask(CODE.GET, { path: '/fails' })
    ask(CODE.GET, { path: '/test', options: [[2049, 'x']] })
    ask(CODE.POST, { path: '/test', payload: 'x' })
    ask(31, { path: '/test' })
    await clock.advance(10_000)
    expect(answers).toEqual([])
    expect(handled).toEqual([])
    expect(live()).toBe(0)
    await close()
  })

  test('is not answered to a confirmable request, nor to a ping', async () => {
    const { clock, ask, answers, close } = await group()
    ask(CODE.GET, { type: TYPE.CON, path: '/test' })
    ask(CODE.EMPTY, { type: TYPE.CON, token: '' })
    await clock.advance(10_000)
    expect(answers.filter(({ message }) => message.type === TYPE.RST || message.type === TYPE.ACK)).toEqual([])
    await close()
  })

  test('finds who has what: only members with a link of that kind answer', async () => {
    const { clock, ask, answers, close } = await group()
    ask(CODE.GET, { path: '/.well-known/core', query: ['rt=lamp'] })
    await clock.advance(6000)
    expect(answers.map(({ from }) => from)).toEqual(['10.0.1.7'])
    expect(Buffer.from(answers[0]!.message.payload).toString()).toContain('</test>')
    await close()
  })
})
