/** Words of diagnoses, treatments and records, in English and German: rare in ordinary mail, together hardly by chance. */
export const medicalTerms: readonly string[] = `
diagnosis, diagnoses, differential diagnosis, prognosis, anamnesis, medical history, medical record, patient record, discharge summary,
discharge letter, progress note, case history, chief complaint, physical examination, laboratory results, lab results, blood test, blood count,
biopsy, histology, pathology report, radiology report, x-ray, mri scan, ct scan, ultrasound, electrocardiogram, ecg, ekg, eeg, endoscopy,
colonoscopy, mammography, chemotherapy, radiotherapy, dialysis, surgery, anaesthesia, anesthesia, transplantation, prescription, dosage,
contraindication, side effects, insulin, antibiotic, antidepressant, opioid, morphine, methadone, vaccination, icd-10, icd-11, snomed,
allergy, asthma, copd, diabetes, hypertension, stroke, myocardial infarction, heart failure, arrhythmia, atrial fibrillation, carcinoma,
tumour, tumor, malignant, metastasis, metastases, leukaemia, leukemia, lymphoma, melanoma, cirrhosis, hepatitis, hiv, aids, tuberculosis,
sepsis, pneumonia, epilepsy, dementia, alzheimer, parkinson, multiple sclerosis, schizophrenia, bipolar disorder, depression, anxiety disorder,
psychotherapy, psychiatric, addiction, substance abuse, pregnancy, miscarriage, abortion, gynaecology, gynecology, oncology, cardiology,
neurology, nephrology, urology, rheumatology, dermatology, orthopaedics, orthopedics, paediatrics, pediatrics, intensive care, inpatient,
outpatient, health insurance number,
diagnose, diagnosen, verdachtsdiagnose, nebendiagnose, hauptdiagnose, befund, befunde, befundbericht, arztbrief, arztbericht, entlassbrief,
entlassungsbericht, krankenakte, patientenakte, anamnese, krankengeschichte, untersuchungsbefund, laborwerte, laborbefund, blutbild, blutwerte,
biopsie, histologie, röntgen, röntgenbild, kernspintomographie, mrt, computertomographie, ultraschall, sonographie, echokardiographie,
magenspiegelung, darmspiegelung, chemotherapie, strahlentherapie, dialyse, operation, narkose, transplantation, verordnung, rezept, dosierung,
kontraindikation, nebenwirkungen, medikation, medikamentenplan, antibiotikum, antidepressivum, impfung, allergie, diabetes mellitus,
bluthochdruck, hypertonie, schlaganfall, apoplex, herzinfarkt, herzinsuffizienz, vorhofflimmern, karzinom, bösartig, metastase, metastasen,
leukämie, lymphom, melanom, leberzirrhose, tuberkulose, lungenentzündung, pneumonie, demenz, multiple sklerose, schizophrenie, depressive episode,
angststörung, psychotherapie, psychiatrie, suchterkrankung, schwangerschaft, fehlgeburt, schwangerschaftsabbruch, gynäkologie, onkologie,
kardiologie, neurologie, nephrologie, urologie, rheumatologie, dermatologie, orthopädie, pädiatrie, intensivstation, stationär, ambulant,
arbeitsunfähigkeit, krankschreibung, pflegegrad, versichertennummer, krankenversichertennummer
`
  .split(',')
  .map((term) => term.trim())
  .filter((term) => term !== '')
