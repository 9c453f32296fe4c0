import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

describe('a topic alias', () => {
  test('that was set to an invalid topic is not set', async () => {
    const net = await lab()
    const client = await net.client()
    expect(await client.put('a', 'x', { properties: { topicAlias: 1 } })).toMatchObject({ reasonCode: 0x10 })
    expect(await client.put('a/+', 'x', { properties: { topicAlias: 1 } })).toMatchObject({ reasonCode: 0x90 })
    client.publish('', 'x', { properties: { topicAlias: 1 } })
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })

  test('that was never set stands for nothing, not for the topic before', async () => {
    const net = await lab()
    const client = await net.client()
    client.publish('a', 'x')
    client.publish('', 'x', { properties: { topicAlias: 3 } })
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })

  test('of the broker is one of those that the broker gives itself, however many the client takes', async () => {
    const net = await lab(undefined, { topicAliasMaximum: 1 })
    const client = await net.client({ properties: { topicAliasMaximum: 5 } })
    await client.subscribe('a/#')
    const publisher = await net.client()
    for (const topic of ['a/1', 'a/2', 'a/1']) publisher.publish(topic, 'x')
    await net.rest()
    expect(client.packets.map(packet => [packet['topic'], packet.properties?.['topicAlias']])).toEqual([
      ['a/1', 1],
      ['a/2', undefined],
      ['', 1]
    ])
  })
})

describe('topic aliases', () => {
  test('of the client stand for the topic they were set with, on that connection', async () => {
    const net = await lab()
    const observer = await net.client()
    await observer.subscribe('#')
    const client = await net.client()
    client.publish('long/topic', '1', { properties: { topicAlias: 3 } })
    client.publish('', '2', { properties: { topicAlias: 3 } })
    client.publish('other', '3', { properties: { topicAlias: 3 } })
    client.publish('', '4', { properties: { topicAlias: 3 } })
    expect(await observer.messages()).toEqual(['long/topic 1', 'long/topic 2', 'other 3', 'other 4'])
    const second = await net.client()
    second.publish('', 'x', { properties: { topicAlias: 3 } })
    expect(await second.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })

  test('above the maximum, or without a topic, end the connection', async () => {
    const net = await lab(undefined, { topicAliasMaximum: 5 })
    const { client, connack } = await net.connect()
    expect(connack.properties).toMatchObject({ topicAliasMaximum: 5 })
    client.publish('a', 'x', { properties: { topicAlias: 6 } })
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x94 })
    const none = await net.client()
    none.publish('', 'x')
    expect(await none.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })

  test('of the server are used towards a client that allows them, as many as it allows', async () => {
    const net = await lab()
    const client = await net.client({ properties: { topicAliasMaximum: 2 } })
    await client.subscribe('#', { qos: 1 })
    const publisher = await net.client()
    for (const topic of ['a', 'b', 'c', 'a', 'b', 'c']) await publisher.put(topic, 'x')
    await net.rest()
    const seen = client.packets.filter(packet => packet.cmd === 'publish').map(packet => [packet['topic'], packet.properties?.['topicAlias']])
    expect(seen).toEqual([
      ['a', 1],
      ['b', 2],
      ['c', undefined],
      ['', 1],
      ['', 2],
      ['c', undefined]
    ])
  })
})
