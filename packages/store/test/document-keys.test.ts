import { App } from '@iopa/appbuilder'
import { resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { store } from '../src/index.ts'

test('a store keeps documents whose pattern has text beside its parameters', async () => {
  const file = resource('/files/{name}.{ext}', { state: z.object({ size: z.number() }), methods: { get: {}, put: {} } })
  const files = store(file)
  const app = new App({ logger: false }).use(router()).use(resources())
  app.serve(file, files)
  const ask = (method: string, path: string, body?: unknown) =>
    app.invoke({ 'iopa.Method': method, 'iopa.Path': path, ...(body === undefined ? undefined : { 'iopa.Body': body }) } as never)
  expect((await ask('PUT', '/files/a.tar.gz', { size: 7 })).status).toBe(201)
  expect(await (await ask('GET', '/files/a.tar.gz')).json()).toEqual({ size: 7 })
  expect((await files.get({ name: 'a', ext: 'tar.gz' }))?.state).toEqual({ size: 7 })
  await expect(files.get({ name: 'a.tar', ext: 'gz' })).rejects.toThrow('would be read back shorter')
  await app.close()
})
