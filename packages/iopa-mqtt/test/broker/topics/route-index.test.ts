import { App } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

/** A device whose routes are added while the broker listens. */
const device = (app: App, path: string, state: { text: string }) => {
  const routes = [
    app.registry.add('GET', path, {}, [() => state.text]),
    app.registry.add('PUT', path, {}, [
      async context => {
        state.text = `state ${await context.text()}`
      }
    ])
  ]
  return () => {
    for (const route of routes) route.remove()
  }
}

describe.each(['', '/house'])('routes of an app at %j that change while the broker listens', prefix => {
  const build = async () => {
    const app = new App({ logger: false }).use(router())
    app.get('/known', () => 'known')
    const net = await lab(outer => (prefix === '' ? outer.use(app as never) : outer.mount(prefix, app as never)))
    const topic = `${prefix}/devices/a`.slice(1)
    return { app, net, topic }
  }

  test('are state as soon as they are added, also for topics that were in use', async () => {
    const { app, net, topic } = await build()
    const [publisher, subscriber] = [await net.client(), await net.client()]
    await subscriber.subscribe('#')
    await subscriber.messages()
    // The alias keeps the topic.
    publisher.publish(topic, 'plain', { properties: { topicAlias: 1 } })
    expect(await subscriber.messages()).toEqual([`${topic} plain`])
    device(app, '/devices/a', { text: 'first' })
    publisher.publish('', '1', { properties: { topicAlias: 1 } })
    expect(await subscriber.messages()).toEqual([`${topic} state 1`])
    await expect(net.transport.publish(topic, 'x')).rejects.toMatchObject({ code: 'topic-is-state' })
    const later = await net.client()
    await later.subscribe('#')
    expect((await later.messages()).sort()).toEqual([`${topic} state 1`, `${prefix}/known known`.slice(1)].sort())
  })

  test('are plain topics as soon as they are removed', async () => {
    const { app, net, topic } = await build()
    const remove = device(app, '/devices/a', { text: 'first' })
    const [publisher, subscriber] = [await net.client(), await net.client()]
    await subscriber.subscribe(`${prefix}/devices/+`.slice(1))
    expect(await subscriber.messages()).toEqual([`${topic} first`])
    await publisher.put(topic, '1')
    expect(await subscriber.messages()).toEqual([`${topic} state 1`])
    const exact = await net.client()
    await exact.subscribe(topic)
    expect(await exact.messages()).toEqual([`${topic} state 1`])
    remove()
    // The topic is gone as a state, once for each subscriber.
    expect(await subscriber.messages()).toEqual([`${topic} `])
    expect(await exact.messages()).toEqual([`${topic} `])
    publisher.publish(topic, 'plain')
    expect(await subscriber.messages()).toEqual([`${topic} plain`])
    await net.transport.publish(topic, 'by the app')
    expect(await subscriber.messages()).toEqual([`${topic} by the app`])
    const later = await net.client()
    await later.subscribe('#')
    expect(await later.messages()).toEqual([`${prefix}/known known`.slice(1)])
  })
})
