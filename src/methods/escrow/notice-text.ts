/** The words of notices and code mails, in every language we have: a missing sentence does not compile. */

/** A paragraph of running text, or a line that stands alone and is never wrapped. */
export type Paragraph = { readonly text: string } | { readonly link: string } | { readonly line: string }

/** What a notice tells. */
export type NoticeWords = {
  /** Name of the person, else the address. */
  readonly sender: string
  readonly organisation: string
  readonly link: string
  /** Host of the portal, to be typed by whoever mistrusts the link. */
  readonly host: string
  readonly expiresAt: number
  readonly reference: string
  /** Whether a code will be asked for. */
  readonly code: boolean
}

/** What a code mail tells. */
export type CodeWords = {
  readonly sender: string
  /** As shown: `4829 1306`. */
  readonly code: string
  readonly words: string
  readonly reference: string
}

/** What the mail tells with which a sender hands a letter over. */
export type HandOverWords = {
  readonly address: string
  readonly reference: string
  readonly link: string
  /** The four words. */
  readonly words: string
  readonly expiresAt: number
}

export type Language = {
  readonly noticeSubject: (organisation: string) => string
  readonly notice: (words: NoticeWords) => readonly Paragraph[]
  /** The same below a notice in another language: the link stands above. */
  readonly noticeBelow: (words: NoticeWords) => readonly Paragraph[]
  /** ASCII only: an encoded word would hide the code from the list of messages. */
  readonly codeSubject: (words: CodeWords) => string
  readonly code: (words: CodeWords) => readonly Paragraph[]
  readonly notMe: (words: { readonly address: string; readonly reference: string; readonly until: string }) => {
    readonly subject: string
    readonly text: readonly Paragraph[]
  }
  readonly handOver: (words: HandOverWords) => { readonly subject: string; readonly text: readonly Paragraph[] }
}

/** `21 December 2026`, by the server's time zone. */
export function longDate(language: LanguageName, at: number): string {
  // Making one takes longer than all the rest of a notice's text.
  const format = dateFormats.get(language) ?? new Intl.DateTimeFormat(language === 'en' ? 'en-GB' : language, { dateStyle: 'long' })
  dateFormats.set(language, format)
  return format.format(at)
}

const dateFormats = new Map<LanguageName, Intl.DateTimeFormat>()

const until = {
  en: (at: number) => `You can read it until ${longDate('en', at)}, as often as you like.`,
  de: (at: number) => `Sie können ihn bis zum ${longDate('de', at)} lesen, so oft Sie möchten.`,
}
const codeComes = {
  en: (code: boolean) => `${code ? 'We will send a short code to this address. ' : ''}We never ask for a password.`,
  de: (code: boolean) => `${code ? 'Wir schicken dann einen kurzen Code an diese Adresse. ' : ''}Nach einem Passwort fragen wir nie.`,
}

const en: Language = {
  noticeSubject: (organisation) => `A letter for you - ${organisation}`,
  notice: ({ sender, link, host, expiresAt, reference, code }) => [
    {
      text: `${sender} has written to you. Because of what it contains, we keep the letter in our own mailroom instead of sending it as ordinary e-mail.`,
    },
    { line: 'Go to your letter:' },
    { link },
    { text: `${until.en(expiresAt)} ${codeComes.en(code)}` },
    {
      text: `Not sure this is from us? Type ${host} into your browser yourself, or call us on the number you already have.`,
    },
    { line: `Reference: ${reference}` },
  ],
  noticeBelow: ({ sender, host, expiresAt, code }) => [
    {
      text: `In English: ${sender} has written to you. Because of what it contains, we keep the letter in our own mailroom instead of sending it as ordinary e-mail. The address above leads to it. ${until.en(expiresAt)} ${codeComes.en(code)} Not sure this is from us? Type ${host} into your browser yourself, or call us on the number you already have.`,
    },
  ],
  codeSubject: ({ code, words }) => `${code} is the code for your letter (${words})`,
  code: ({ sender, code, words, reference }) => [
    { line: code },
    { text: `This is the code for your letter from ${sender}, reference ${reference}. It works for 10 minutes.` },
    { text: `The page that asks for it shows the words: ${words}` },
    {
      text: 'You did not ask for it? Then somebody else, perhaps a mail scanner, followed the address in our notice. Without this code they see nothing of the letter, and you need not do anything.',
    },
  ],
  notMe: ({ address, reference, until: end }) => ({
    subject: `Your letter ${reference}: the reader says it is not for them`,
    text: [
      {
        text: `Somebody who received our notice at ${address} pressed "Not you? Tell us". Your letter with the reference ${reference} may have gone to a wrong address.`,
      },
      {
        text: `Nothing was shown to them, and nothing has changed: the letter still waits until ${end}. Please check the address and, when it is wrong, write again to the right one.`,
      },
    ],
  }),
  handOver: ({ address, reference, link, words, expiresAt }) => ({
    subject: `Your letter ${reference}: link and words for its reader`,
    text: [
      {
        text: `You want to hand your letter to ${address} over yourself. The notice that waited was taken back. The reader needs two things, and each should go another way.`,
      },
      { line: 'First, this link, by any message that reaches them:' },
      { link },
      { line: 'Second, these four words, by telephone or face to face:' },
      { line: words },
      {
        text: `Whoever has both can read the letter, so never put them into one message. No code is asked for. The letter can be read until ${longDate('en', expiresAt)}. We keep no copy of the link or of the words: when they are lost, open the page of your letter again and press the same button.`,
      },
    ],
  }),
}

const de: Language = {
  noticeSubject: (organisation) => `Ein Brief für Sie - ${organisation}`,
  notice: ({ sender, link, host, expiresAt, reference, code }) => [
    {
      text: `${sender} hat Ihnen geschrieben. Wegen des Inhalts bewahren wir den Brief in unserer eigenen Poststelle auf, statt ihn als gewöhnliche E-Mail zu schicken.`,
    },
    { line: 'Zu Ihrem Brief:' },
    { link },
    { text: `${until.de(expiresAt)} ${codeComes.de(code)}` },
    {
      text: `Nicht sicher, ob das von uns ist? Geben Sie ${host} selbst in Ihren Browser ein, oder rufen Sie uns unter der Nummer an, die Sie schon haben.`,
    },
    { line: `Kennzeichen: ${reference}` },
  ],
  noticeBelow: ({ sender, host, expiresAt, code }) => [
    {
      text: `Auf Deutsch: ${sender} hat Ihnen geschrieben. Wegen des Inhalts bewahren wir den Brief in unserer eigenen Poststelle auf, statt ihn als gewöhnliche E-Mail zu schicken. Die Adresse oben führt zu ihm. ${until.de(expiresAt)} ${codeComes.de(code)} Nicht sicher, ob das von uns ist? Geben Sie ${host} selbst in Ihren Browser ein, oder rufen Sie uns unter der Nummer an, die Sie schon haben.`,
    },
  ],
  codeSubject: ({ code, words }) => `${code} ist der Code zu Ihrem Brief (${words})`,
  code: ({ sender, code, words, reference }) => [
    { line: code },
    { text: `Das ist der Code zu Ihrem Brief von ${sender}, Kennzeichen ${reference}. Er gilt 10 Minuten.` },
    { text: `Die Seite, die danach fragt, zeigt die Wörter: ${words}` },
    {
      text: 'Sie haben ihn nicht angefordert? Dann ist jemand anderes, vielleicht ein Prüfprogramm, der Adresse in unserer Benachrichtigung gefolgt. Ohne diesen Code ist vom Brief nichts zu sehen, und Sie müssen nichts tun.',
    },
  ],
  notMe: ({ address, reference, until: end }) => ({
    subject: `Ihr Brief ${reference}: der Leser sagt, er sei nicht gemeint`,
    text: [
      {
        text: `Jemand, der unsere Benachrichtigung unter ${address} bekam, hat "Nicht Sie? Sagen Sie es uns" gedrückt. Ihr Brief mit dem Kennzeichen ${reference} ging vielleicht an eine falsche Adresse.`,
      },
      {
        text: `Es wurde nichts davon gezeigt und nichts geändert: Der Brief liegt weiter bereit bis zum ${end}. Bitte prüfen Sie die Adresse und schreiben Sie, wenn sie falsch ist, noch einmal an die richtige.`,
      },
    ],
  }),
  handOver: ({ address, reference, link, words, expiresAt }) => ({
    subject: `Ihr Brief ${reference}: Link und Wörter für den Leser`,
    text: [
      {
        text: `Sie möchten Ihren Brief an ${address} selbst übergeben. Die wartende Benachrichtigung wurde zurückgenommen. Der Leser braucht zweierlei, und jedes sollte einen anderen Weg nehmen.`,
      },
      { line: 'Erstens diesen Link, mit irgendeiner Nachricht, die ankommt:' },
      { link },
      { line: 'Zweitens diese vier Wörter, am Telefon oder persönlich:' },
      { line: words },
      {
        text: `Wer beides hat, kann den Brief lesen; schicken Sie es deshalb nie in einer Nachricht. Ein Code wird nicht verlangt. Der Brief kann bis zum ${longDate('de', expiresAt)} gelesen werden. Wir behalten weder Link noch Wörter: Sind sie verloren, öffnen Sie die Seite Ihres Briefes noch einmal und drücken denselben Knopf.`,
      },
    ],
  }),
}

/** Every language we have. */
export const languages = { en, de } satisfies { readonly [name: string]: Language }
export type LanguageName = keyof typeof languages
export const languageNames = Object.keys(languages) as readonly LanguageName[]

/** `de-AT` → de; undefined when we do not have it. */
export const languageNamed = (tag: string): LanguageName | undefined =>
  languageNames.find((name) => name === tag.trim().toLowerCase().split('-', 1)[0])
