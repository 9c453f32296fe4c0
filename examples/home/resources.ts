// What the house is made of: the declarations that server, clients, documents and tests share.
import { collection, resource } from '@iopa/resource'
import { z } from 'zod'

const params = z.object({ id: z.string().max(32) })

export const light = resource('/lights/{id}', {
  title: 'A light',
  rt: 'light',
  params,
  state: z.object({ on: z.boolean(), level: z.number().min(0).max(100).describe('Percent') }),
  methods: { get: {}, put: {}, patch: {} }
})

export const lights = collection(light, '/lights', { title: 'All lights', rt: 'light-list' })

export const sensor = resource('/sensors/{id}', {
  title: 'A sensor',
  rt: 'sensor',
  params,
  state: z.object({ value: z.number(), unit: z.string().min(1).max(16) }),
  computed: { at: z.number().describe('Milliseconds since 1970 of the last reading') },
  methods: { get: {}, put: {}, patch: {} }
})

export const sensors = collection(sensor, '/sensors', { title: 'All sensors', rt: 'sensor-list' })
