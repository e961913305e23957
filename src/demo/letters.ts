/** What the hospital writes in the demo: ordinary mail with text, HTML and an attachment. */
import type { SendMailOptions } from 'nodemailer'
import { type Person, sender } from './people.ts'

const values = ['Haemoglobin,13.9 g/dl', 'Leucocytes,6.1 /nl', 'Creatinine,0.8 mg/dl']

/** A message to these people, as a mail client would send it. */
export function letterTo(people: readonly Person[]): SendMailOptions {
  const names = people.map(({ name }) => name).join(' and ')
  const appointment = 'Tuesday, 1 December 2026, 9:30, house C, second floor'
  return {
    from: sender,
    to: people.map(({ name, address }) => ({ name, address })),
    subject: people.length === 1 ? `Your results, ${names}` : 'The case conference of this week',
    text: `Dear ${names},\n\nthank you for coming. Your values are well within the range; the table is attached.\n\nNext appointment: ${appointment}.\n\nWith kind regards\n${sender.name}\n`,
    html: `<p>Dear ${names},</p><p>thank you for coming. Your values are <b>well within the range</b>; the table is attached.</p>
<table border="1" cellpadding="6"><tr><th>Value</th><th>Result</th></tr>${values.map((line) => `<tr><td>${line.replace(',', '</td><td>')}</td></tr>`).join('')}</table>
<p>Next appointment: ${appointment}.</p><p>With kind regards<br>${sender.name}</p>`,
    attachments: [{ filename: 'results.csv', content: ['Value,Result', ...values].join('\r\n'), contentType: 'text/csv' }],
  }
}
