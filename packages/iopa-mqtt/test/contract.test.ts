import { IopaError, type Transport } from '@iopa/appbuilder'
import { transportContract } from '@iopa/testing'
import { answerUnrun, type Context, type Host, isControlMethod } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { type MqttOptions, mqtt } from '../src/mqtt.ts'

/** The handlers of the contract take whatever comes and know only requests; here CONNECT and SUBSCRIBE find nobody, which accepts them. */
const withoutControl = (host: Host): Host => {
  const refuse = (context: Context): Context => {
    answerUnrun(context, new IopaError(404, 'no-route'))
    return context
  }
  return new Proxy(host, {
    get(target, key) {
      if (key === 'withLimits') return (limits: Parameters<Host['withLimits']>[0]) => withoutControl(target.withLimits(limits))
      if (key === 'run')
        return (context: Context, done: (context: Context) => void, ...whole: [Parameters<Host['run']>[2]?]) =>
          isControlMethod(context.method) ? done(refuse(context)) : target.run(context as Context, done, ...whole)
      if (key === 'invoke')
        return async (context: Context, ...whole: [Parameters<Host['invoke']>[1]?]) =>
          isControlMethod(context.method) ? void refuse(context) : target.invoke(context as Context, ...whole)
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
}

const subject = (options: MqttOptions): Transport => {
  const transport = mqtt(options)
  return { ...transport, listen: host => transport.listen(withoutControl(host)) }
}

// A topic has no query; and none is empty, so that `/` has no topic: the paths that topics can say are in another test.
// SUBACK says less than a status (MQTT 5 section 3.9.3).
const features = { query: false, cancel: false, redirects: false, refusals: [403], credentials: 'connect' } as const
const beyondTopics = 'hands the path over canonical: decoded once, a trailing slash kept'

// A client of MQTT within its receive maximum waits and is not refused (broker-load.test.ts).
const refusing = 'answers 503 beyond the requests that may be in work'
const leftOut = [beyondTopics, refusing]

describe('the transport contract', () => {
  const cases = transportContract({ transport: options => subject({ port: 0, ...options }), url: ({ url }) => url.href, features })
  test('has the cases that are left out', () => expect(cases.map(({ name }) => name)).toEqual(expect.arrayContaining(leftOut)))
  for (const { name, run } of cases) if (!leftOut.includes(name)) test(name, run)
})
